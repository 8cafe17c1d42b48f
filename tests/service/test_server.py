import asyncio
import signal
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="skipped: uvloop does not exist for Windows")
def test_it_runs_on_uvloop_and_httptools(client, monkeypatch):
    import uvloop
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from service.connections import Connection
    from service.server import make_server

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    service = client.app.state.service
    config = make_server(client.app, service.registry, service.settings).config
    config.load()
    loop = config.get_loop_factory()()
    assert isinstance(loop, uvloop.Loop)
    assert config.http_protocol_class.func is Connection  # type: ignore[attr-defined]
    assert issubclass(Connection, HttpToolsProtocol)
    loop.close()


def test_what_routes_need_of_the_app_takes_no_thread():
    from service.api.dependencies import service_of

    assert asyncio.iscoroutinefunction(service_of)


def test_a_model_that_fails_its_check_ends_the_server_with_one_sentence(golden, tmp_path):
    import shutil
    import subprocess

    import safetensors.numpy

    from models.bundle.reader import read_bundle, write_manifest

    bundle = tmp_path / "bundle"
    shutil.copytree(golden, bundle)
    values = dict(read_bundle(bundle).canonical())
    safetensors.numpy.save_file({**values, "mean": values["mean"] + 1}, bundle / "canonical.safetensors")
    write_manifest(bundle, read_bundle(golden).manifest)
    command = [
        sys.executable,
        "-m",
        "ijepa",
        "serve",
        "--bundle",
        str(bundle),
        "--port",
        "0",
        "--runtime",
        "onnxruntime",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ijepa serve: golden is not served: ")
    assert "Traceback" not in done.stderr
