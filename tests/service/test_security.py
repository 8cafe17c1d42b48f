"""Names of hosts and sites, and what pages may load."""

import base64
import hashlib
import re

import pytest

from service.errors import Forbidden
from service.security import AllowedHosts, page_policy

LOOPBACK = AllowedHosts("127.0.0.1", ())
NAMED = AllowedHosts("0.0.0.0", ("features.example.org",))


def permits(hosts, **headers):
    try:
        hosts.check([(name.encode(), value.encode()) for name, value in headers.items()])
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST",
        "a.localhost:1",
        "127.0.0.1:8000",
        "127.1.2.3",
        "[::1]:8000",
        "localhost.",
    ],
)
def test_on_loopback_names_of_this_machine_are_allowed_with_any_port(host):
    assert permits(LOOPBACK, host=host)
    assert permits(LOOPBACK, host=host, origin=f"http://{host}")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "10.0.0.1",
        "127.0.0.1.evil.example",
        "",
        "[::2]",
        "x" * 300,
    ],
)
def test_on_loopback_other_names_are_not(host):
    assert not permits(LOOPBACK, host=host)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://evil.example:8000", "localhost"])
def test_pages_of_other_sites_may_not_use_a_server_on_loopback(origin):
    assert not permits(LOOPBACK, host="localhost:8000", origin=origin)


def test_a_second_host_header_is_looked_at_too():
    with pytest.raises(Forbidden, match="'evil'"):
        LOOPBACK.check([(b"host", b"localhost"), (b"host", b"evil")])


def test_elsewhere_every_name_is_allowed_unless_some_are_named():
    assert AllowedHosts("0.0.0.0", ()).any
    assert AllowedHosts("127.0.0.1", ("*",)).any
    assert not NAMED.any
    assert permits(NAMED, host="features.example.org:443", origin="https://features.example.org")
    assert not permits(NAMED, host="localhost")


def test_what_was_sent_is_quoted_in_part():
    with pytest.raises(Forbidden) as caught:
        LOOPBACK.check([(b"host", b"x" * 10_000)])
    assert len(str(caught.value)) < 400


def test_requests_by_other_names_are_answered_with_403_but_health_is(client):
    rebound = {"host": "evil.example"}
    assert client.get("/openapi.json", headers=rebound).json()["error"]["code"] == "forbidden"
    assert client.get("/openapi.json", headers={"origin": "https://evil.example"}).status_code == 403
    assert client.get("/health", headers=rebound).status_code == 200


def test_every_answer_forbids_to_guess_its_type(client, png):
    for answer in (
        client.get("/"),
        client.get("/nowhere"),
        client.post("/v1/embeddings", content=png),
        client.get("/metrics"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_load_what_is_theirs_and_nothing_else(client):
    for path in ("/", "/docs"):
        page = client.get(path)
        policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert "unsafe-inline" not in policy["script-src"]
        scripts = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
        assert policy["script-src"].split() == ["'self'", *(f"'sha256-{each}'" for each in hashes)]
    assert scripts, "the page of the API starts with a script"


def test_a_page_without_scripts_may_load_none_but_the_servers():
    assert "script-src 'self';" in page_policy()
