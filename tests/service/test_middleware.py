import asyncio

from fastapi import APIRouter, Request, Response, routing

from service.middleware import DirectRoutes

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
