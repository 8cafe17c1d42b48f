import asyncio

import pytest
from fastapi import APIRouter, Request, Response, routing

from service.middleware import CatchErrors, Claims, DirectRoutes

router = APIRouter()
SOLVE = "solve_dependencies"


@router.post("/direct")
async def endpoint(request: Request) -> Response:
    return Response(await request.body())


async def inner(scope, receive, send):
    await Response("inner")(scope, receive, send)


def answer(**scope):
    """The body that the middleware answers with, and the route that it noted."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"body", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/direct", "root_path": "", "headers": [], **scope}
    direct = [route for route in router.routes if isinstance(route, routing.APIRoute)]
    asyncio.run(DirectRoutes(inner, direct)(scope, receive, send))
    return sent[1]["body"], scope.get("route")


def test_a_direct_route_is_called_without_the_app_and_noted_for_the_log():
    assert answer() == (b"body", router.routes[0])


def test_other_methods_and_paths_are_the_apps():
    for scope in ({"method": "GET"}, {"path": "/direct/"}, {"path": "/other"}, {"root_path": "/below"}):
        assert answer(**scope) == (b"inner", None)


def test_images_are_embedded_and_predicted_without_fastapis_dependencies(client, png, monkeypatch):
    """They cost more than the rest of the HTTP of a small image."""
    solved, honest = [], getattr(routing, SOLVE)

    async def counted(**given):
        solved.append(given)
        return await honest(**given)

    monkeypatch.setattr(routing, SOLVE, counted)
    client.get("/health")
    assert len(solved) == 1, "FastAPI calls it by another name"
    client.post("/v1/images/embeddings", files={"file": png})
    client.post("/v1/embeddings", content=png)
    client.post("/v1/predict", content=png, params={"targets": '[{"patches": [0]}]'})
    assert len(solved) == 1


class Held:
    """An `Admission` that notes what is released."""

    def __init__(self):
        self.flows, self.released = [], 0

    def claim(self, flow):
        self.flows.append(flow)
        return self

    def release(self):
        self.released += 1


def run(app, **scope):
    """The messages that an app sends for a request."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [],
        "client": ("1.2.3.4", 5),
        "state": {},
        **scope,
    }
    asyncio.run(app(scope, receive, send))
    return sent


def test_a_claim_is_of_the_connection_and_released_after_the_response():
    held = Held()

    async def app(scope, receive, send):
        assert scope["state"]["claim"] is held
        await Response("x")(scope, receive, send)
        assert held.released == 0

    run(Claims(app, held))  # type: ignore[arg-type]
    assert (held.flows, held.released) == ([("1.2.3.4", 5)], 1)


def test_a_claim_is_released_after_a_failure_too():
    held = Held()

    async def app(scope, receive, send):
        raise KeyError

    with pytest.raises(KeyError):
        run(Claims(app, held))  # type: ignore[arg-type]
    assert held.released == 1


@pytest.mark.parametrize("draining", [True, False])
def test_what_is_cut_off_while_the_server_drains_is_answered_and_else_cancelled(draining):
    async def app(scope, receive, send):
        asyncio.current_task().cancel()
        await asyncio.sleep(10)

    async def answer(request, error):
        return Response(error.code, error.status)

    catch = CatchErrors(app, answer, lambda: draining)
    if not draining:
        with pytest.raises(asyncio.CancelledError):
            run(catch)
        return
    start, body = run(catch)
    assert (start["status"], body["body"]) == (503, b"draining")
