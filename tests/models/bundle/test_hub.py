"""Bundles to and from the hub, played by a small server of this machine."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

COMMIT = "c" * 40


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as a push of small files and a pull need. `files` are those of one repository."""

    files: dict[str, bytes]
    asked: list[str]

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, document):
        self.answer(200, json.dumps(document).encode(), Content_Type="application/json")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append(self.path)
        if self.path == "/api/repos/create":
            self.answer_json({"url": f"http://{self.headers['Host']}/me/model"})
        elif self.path == "/api/validate-yaml":
            content = json.loads(body)["content"]
            known = "license: apache-2.0" in content or "license: other" in content
            errors = [] if known else [{"message": '"license" must be one of a list'}]
            self.answer_json({"errors": errors, "warnings": []})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            self.answer_json({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        else:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self.answer_json(
                {"commitUrl": f"http://{self.headers['Host']}/me/model/commit/{COMMIT}", "commitOid": COMMIT}
            )

    def do_GET(self):
        self.asked.append(self.path)
        name = self.path.partition("?")[0].partition(f"/resolve/{COMMIT}/")[2]
        if self.path.startswith("/api/models/me/model/tree"):
            tree = [
                {"type": "file", "path": n, "size": len(b), "oid": hashlib.sha1(b).hexdigest()}
                for n, b in self.files.items()
            ]
            self.answer_json(tree)
        elif self.path.startswith("/api/models/me/model"):
            self.answer_json({"id": "me/model", "sha": COMMIT, "siblings": [{"rfilename": n} for n in self.files]})
        elif name in self.files:
            self.answer(200, self.files[name], ETag=f'"{hashlib.sha1(self.files[name]).hexdigest()}"')
        else:
            self.answer(404, b"{}", X_Error_Code="RepoNotFound")

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def hub():
    handler = type("ThisHub", (Hub,), {"files": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    handler.address = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield handler
    server.shutdown()
    server.server_close()


def models(tmp_path, address, *arguments, **more):
    """`ijepa models ...` with a cache of its own and that hub."""
    environment = {
        **os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1", **more,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "ijepa", "models", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_bundle_goes_up_and_comes_down_whole(hub, golden, tmp_path):
    """The card becomes the page with the licence in its header; after a pull the cache is enough, with no hub at all."""
    pushed = models(tmp_path, hub.address, "push", str(golden), "me/model")
    assert pushed.returncode == 0, pushed.stderr
    assert hub.files["manifest.json"] == (golden / "manifest.json").read_bytes()
    assert hub.files["README.md"].startswith(b"---\nlicense: apache-2.0\n")

    pulled = models(tmp_path, hub.address, "pull", "me/model")
    assert pulled.returncode == 0, pulled.stderr
    assert "licence Apache-2.0" in pulled.stderr
    folder = pulled.stdout.strip()
    verified = models(tmp_path, hub.address, "verify", folder)
    assert verified.returncode == 0, verified.stderr
    assert hashlib.sha256((golden / "manifest.json").read_bytes()).hexdigest() in verified.stdout

    before = len(hub.asked)
    again = models(tmp_path, hub.address, "pull", "me/model", HF_HUB_OFFLINE="1")
    assert again.stdout == pulled.stdout, again.stderr
    assert len(hub.asked) == before


def test_the_licence_is_shown_before_any_weights_are_asked_for(hub, golden, tmp_path):
    manifest = json.loads((golden / "manifest.json").read_text()) | {"licence": "CC-BY-NC-4.0"}
    hub.files["manifest.json"] = json.dumps(manifest).encode()
    failed = models(tmp_path, hub.address, "pull", "me/model")

    assert "licence CC-BY-NC-4.0: not for commercial use" in failed.stderr
    assert failed.returncode == 1


def test_a_file_that_was_altered_on_the_way_is_an_error(hub, golden, tmp_path):
    models(tmp_path, hub.address, "push", str(golden), "me/model")
    hub.files["encoder.onnx"] = hub.files["encoder.onnx"][:-1] + b"x"
    pulled = models(tmp_path, hub.address, "pull", "me/model")

    assert pulled.returncode == 1
    assert "encoder.onnx is not the file that the manifest describes" in pulled.stderr


def test_what_is_not_there_is_one_sentence(hub, tmp_path):
    missing = models(tmp_path, hub.address, "pull", "me/nothing")
    assert missing.returncode == 1
    assert "me/nothing cannot be downloaded from the Hugging Face hub" in missing.stderr
    offline = models(tmp_path, "http://127.0.0.1:9", "pull", "me/model")
    assert offline.returncode == 1
    assert "cannot be reached" in offline.stderr
    other = models(tmp_path, hub.address, "pull", "me/model")
    assert "is not a bundle: it has no manifest.json" in other.stderr
    for error in (missing, offline, other):
        assert "Traceback" not in error.stderr
        assert sum(line.startswith("ijepa models: ") for line in error.stderr.splitlines()) == 1
        assert error.stdout == ""
