"""What a review of the server found, replayed, with another client beside it. The numbers are those of the findings."""

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import threading
import time

import pytest

from tests.hostile import attacks
from tests.hostile.client import EMBED, OPENAI, PREDICT, Kept, ask, post, post_json, request
from tests.hostile.corpus.base import small_png, text_of
from tests.hostile.images import webp
from tests.hostile.images.base import LIMIT_SIDE
from tests.hostile.ordinary import RUNTIME, list_of, photo, warm_up
from tests.hostile.server import GOLDEN, family, group, running_server, workers_of
from tests.hostile.unharmed import harm
from tests.hostile.watch import watched

QUICK_SECONDS, QUICK_LIMIT = 1.0, 15.0
ATTACK_SECONDS = 20.0


@pytest.mark.parametrize("name", [name for name in attacks.ATTACKS if name[0] not in "29"])
def test_another_client_is_answered_during_a_short_attack(server, name):
    attack, start = attacks.ATTACKS[name], server.log_size()
    with watched(server) as watch:
        result = asyncio.run(
            attacks.run(server.port, attacks.Attack(lambda: attack.requests()[-1:], 2, attack.statuses), QUICK_SECONDS)
        )
    assert not harm(server, watch.seen, start, QUICK_LIMIT, QUICK_LIMIT)
    assert result.problems == []


@pytest.mark.slow
@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_another_client_goes_on_as_before(server, name):
    start = server.log_size()
    with watched(server) as watch:
        result = asyncio.run(attacks.run(server.port, attacks.ATTACKS[name], ATTACK_SECONDS))
    print(name, dict(result.statuses), f"slowest {result.slowest:.1f} s")
    assert not harm(server, watch.seen, start)
    assert result.problems == []


def test_2_a_bomb_is_told_from_its_header_or_cut_off(server):
    for data in (attacks.of_bombs()[0], attacks.of_bombs()[1]):
        reply = asyncio.run(ask(server.port, data))
        assert reply.status in (413, 422), reply
        assert reply.seconds < 20


@pytest.mark.slow
def test_8_what_was_accepted_is_answered_and_the_process_ends(tmp_path):
    """While it decodes what takes long, SIGTERM comes; requests on a kept connection go on."""
    costly = list_of(webp.flat(LIMIT_SIDE, LIMIT_SIDE))
    with running_server(GOLDEN, tmp_path, *RUNTIME, IJEPA_DRAIN_SECONDS="5") as server:
        warm_up(server)
        accepted, late = asyncio.run(_drain(server, costly))
        server.process.wait(15)
        assert server.process.returncode == 0
        time.sleep(3)
        assert not group(server.pid)
        log = server.log_text()
    assert "Traceback" not in log
    for reply in accepted:
        assert reply.status in (200, 413, 422, 429, 503, 504), reply
        assert "x-request-id" in reply.headers
    assert late
    for reply in late:
        assert (reply.status, reply.json()["error"]["code"]) == (503, "draining"), reply
        assert int(reply.headers["retry-after"]) >= 1
    assert late[-1].headers["connection"] == "close"


async def _drain(server, costly: bytes):
    decoding = [asyncio.create_task(ask(server.port, costly)) for _ in range(4)]
    kept = Kept(server.port)
    assert (await kept.ask(post(small_png()))).status == 200
    await asyncio.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)
    late = []
    until = time.monotonic() + 10
    while len(late) < 200 and time.monotonic() < until:
        reply = await kept.ask(post(small_png()), 10)
        if reply.status == 200:
            continue  # the signal has not been seen yet
        if reply.status <= 0:
            break
        late.append(reply)
        if reply.headers.get("connection") == "close":
            break
    kept.close()
    return await asyncio.gather(*decoding), late


@pytest.mark.slow
def test_9_memory_comes_back(tmp_path):
    with running_server(GOLDEN, tmp_path, *RUNTIME) as server:
        warm_up(server)
        before = server.idle_bytes(3)
        asyncio.run(attacks.run(server.port, attacks.ATTACKS["9: images of 49 MP"], ATTACK_SECONDS))
        after = server.idle_bytes(60, 1.2 * before)
        assert after <= 1.2 * before, f"{before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after"


def test_11_http(server):
    port, png = server.port, small_png()

    def got(data: bytes):
        return asyncio.run(ask(port, data))

    both = {"transfer-encoding": "chunked", "content-length": "3"}
    assert got(request("POST", EMBED, b"abc", both)).status == 400
    assert got(request("GET", "/health/")).status == 404
    assert "location" not in got(request("GET", "/v1/models/")).headers
    long = "x" * 50_000
    for data in (
        post_json({"input": text_of(png), long: 1}),
        post_json({"input": text_of(png), "model": long}),
        request("GET", "/" + "y" * 20_000),
    ):
        assert len(re.findall(r"[xy]{201}", got(data).body.decode())) == 0
    assert got(request("GET", "/v1/models", b"", {"host": "evil.example"})).status in (400, 403, 421)
    assert got(post(png, origin="http://evil.example")).status in (400, 403)
    page = got(request("GET", "/"))
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "content-security-policy" in page.headers
    wrapped = base64.encodebytes(png).decode()
    safe = text_of(png).replace("+", "-").replace("/", "_")
    for text in (wrapped, safe, safe.rstrip("=")):
        assert got(post_json({"input": text})).status == 200
    hint = got(post(json.dumps({"input": text_of(png)}).encode(), OPENAI, "application/x-www-form-urlencoded"))
    assert hint.status == 400
    assert "application/json" in hint.json()["error"]["message"]
    assert isinstance(got(request("GET", "/v2/models/other")).json()["error"], str)


def test_12_the_description_is_true(server):
    paths = json.loads(server.get("/openapi.json")[1])["paths"]
    assert "text/plain" in next(iter(paths["/metrics"]["get"]["responses"]["200"]["content"]))
    form = json.dumps(paths[EMBED]["post"]["requestBody"]["content"]["multipart/form-data"])
    assert '"minItems": 1' in form
    names = {parameter["name"] for parameter in paths[PREDICT]["post"].get("parameters", [])}
    assert {"targets", "context", "return", "fit"} <= names


@pytest.mark.slow
def test_killed_workers_cost_their_own_images_alone(server):
    """kill -9 of one after the other, 100 times under load."""
    start, over, kills = server.log_size(), threading.Event(), []

    def kill() -> None:
        while len(kills) < 100 and not over.is_set():
            below = workers_of(server.pid)
            if below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(below[len(kills) % len(below)], signal.SIGKILL)
                kills.append(time.monotonic())
            time.sleep(0.15)
        over.set()

    async def load():
        async def one(number: int):
            kept, replies = Kept(server.port), []
            while not over.is_set():
                replies.append(await kept.ask(post(photo(640, 480) if number % 2 else small_png())))
            kept.close()
            return replies

        return [reply for replies in await asyncio.gather(*map(one, range(6))) for reply in replies]

    thread = threading.Thread(target=kill)
    thread.start()
    replies = asyncio.run(load())
    over.set()
    thread.join()
    statuses = [reply.status for reply in replies]
    assert len(kills) == 100
    assert set(statuses) <= {200, 422}, {status: statuses.count(status) for status in statuses}
    assert statuses.count(422) <= 2 * len(kills)
    assert statuses.count(200) > len(statuses) // 2
    assert not server.problems(start)


@pytest.mark.slow
def test_when_all_processes_that_decode_are_killed_new_ones_are_started(server):
    start = server.log_size()
    for _ in range(3):
        for pid in family(server.pid)[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        statuses, until = [], time.monotonic() + 20
        while statuses[-3:] != [200, 200, 200] and time.monotonic() < until:
            statuses.append(asyncio.run(ask(server.port, post(small_png()))).status)
        assert set(statuses) <= {200, 422, 503}
        assert statuses[-3:] == [200, 200, 200]
    assert not server.problems(start)
