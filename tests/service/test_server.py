import asyncio
import signal
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="skipped: uvloop does not exist for Windows")
def test_it_runs_on_uvloop_and_httptools(client, monkeypatch):
    import uvloop
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from service.server import make_server

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    service = client.app.state.service
    config = make_server(client.app, service.registry, service.settings).config
    config.load()
    loop = config.get_loop_factory()()
    assert isinstance(loop, uvloop.Loop)
    assert config.http_protocol_class is HttpToolsProtocol
    loop.close()


def test_what_routes_need_of_the_app_takes_no_thread():
    from service.api.dependencies import service_of

    assert asyncio.iscoroutinefunction(service_of)
