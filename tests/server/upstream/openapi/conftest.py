"""A small web service on loopback, and the OpenAPI document that describes it."""

import json
import socket
import threading

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


class Service:
    """Runs in a thread of the test process. `seen` has every request that arrived."""

    def __init__(self):
        self.seen = []
        self.png = PNG
        self.release = threading.Event()
        self.pair = threading.Barrier(2)
        self.active = self.peak = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        routes = [
            Route("/echo{rest:path}", self.echo, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]),
            Route("/status/{code:int}", self.status, methods=["GET", "POST"]),
            Route("/kinds/{kind}", self.kinds),
            Route("/large", self.large),
            Route("/slow", self.slow),
            Route("/paired", self.paired),
            Route("/leak", self.leak),
            Route("/to", self.to, methods=["GET", "POST"]),
            Route("/secret.json", self.secret),
            Route("/openapi.json", lambda _: JSONResponse(document(""))),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()

    def close(self):
        self.release.set()
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()

    async def echo(self, request: Request):
        body = await request.body()
        seen = {
            "method": request.method,
            "path": request.scope["raw_path"].decode(),
            "query": request.scope["query_string"].decode(),
            "headers": dict(request.headers),
            "body": body.decode("utf-8", "replace"),
        }
        self.seen.append(seen)
        return JSONResponse(seen, headers={"Set-Cookie": "session=1"})

    async def status(self, request: Request):
        code = request.path_params["code"]
        return JSONResponse({"detail": f"because {code}"}, code, {"Retry-After": "7"} if code == 429 else None)

    async def kinds(self, request: Request):
        answers = {
            "text": PlainTextResponse("plain ünïcode"),
            "number": PlainTextResponse("42"),
            "json-as-text": PlainTextResponse('{"a": [1, 2]}'),
            "problem": Response(b'{"a": 1}', media_type="application/problem+json"),
            "broken-json": Response(b'{"a": ', media_type="application/json"),
            "png": Response(PNG, media_type="image/png"),
            "latin": Response("é".encode("latin-1"), headers={"content-type": "text/plain; charset=latin-1"}),
            "odd-charset": Response(b"abc", headers={"content-type": "text/plain; charset=nonsense"}),
            "not-a-number": Response(b'{"a": NaN}', media_type="application/json"),
            "nothing": Response(status_code=204),
            "untyped": Response(b"\xff\xfe\x00"),
        }
        return answers[request.path_params["kind"]]

    async def large(self, request: Request):
        return Response(bytes(17 * 1024 * 1024), media_type="text/plain")

    def slow(self, request: Request):
        self.release.wait(30)
        return PlainTextResponse("late")

    def paired(self, request: Request):
        """Answers only when two requests are here at once."""
        self.active += 1
        self.peak = max(self.peak, self.active)
        self.pair.wait(20)
        self.active -= 1
        return PlainTextResponse("met")

    async def leak(self, request: Request):
        return PlainTextResponse("I was sent " + json.dumps(dict(request.headers)) + str(request.url), 500)

    async def to(self, request: Request):
        return RedirectResponse(request.query_params["url"], int(request.query_params.get("code", 307)))

    async def secret(self, request: Request):
        allowed = request.headers.get("authorization") == "Bearer t0ken-value"
        return JSONResponse(document("") if allowed else {}, 200 if allowed else 401)


@pytest.fixture(scope="module")
def service():
    service = Service()
    yield service
    service.close()


@pytest.fixture
def described():
    """Writes the document of a service at a URL; an empty one is not named in it."""
    return lambda url: json.dumps(document(url))


def operation(name, *parameters, body=None, **more):
    found = {"operationId": name, "parameters": list(parameters), "responses": {"200": {"description": "ok"}}, **more}
    return found | ({"requestBody": {"required": True, "content": body}} if body else {})


def parameter(name, where, **more):
    return {"name": name, "in": where, "required": where == "path", "schema": {}, **more}


def document(url):
    query = [
        parameter("plain", "query"),
        parameter("many", "query"),
        parameter("comma", "query", explode=False),
        parameter("pipe", "query", style="pipeDelimited", explode=False),
        parameter("deep", "query", style="deepObject"),
        parameter("as json", "query", content={"application/json": {"schema": {}}}),
        parameter("X-Trace", "header"),
        parameter("taste", "cookie"),
    ]
    person = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    upload = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}, "note": {}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Echo", "version": "1"},
        **({"servers": [{"url": url}]} if url else {}),
        "security": [{"key": []}],
        "paths": {
            "/echo": {
                "get": operation("search", *query),
                "post": operation("add", body={"application/json": {"schema": person}}),
                "put": operation("form", body={"application/x-www-form-urlencoded": {"schema": person}}),
                "patch": operation("upload", body={"multipart/form-data": {"schema": upload}}),
                "delete": operation("raw", body={"text/csv": {"schema": {"type": "string"}}}),
            },
            "/echo/{id}/item": {"get": operation("item", parameter("id", "path"))},
            "/echo/signed": {"get": operation("signed", security=[{"key": []}, {"login": []}, {"oauth": []}])},
            "/status/{code}": {"get": operation("status", parameter("code", "path"))},
            "/kinds/{kind}": {"get": operation("kinds", parameter("kind", "path"))},
            "/large": {"get": operation("large")},
            "/slow": {"get": operation("slow")},
            "/paired": {"get": operation("paired")},
            "/leak": {"get": operation("leak")},
            "/to": {"get": operation("to", parameter("url", "query"), parameter("code", "query"))},
        },
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "query", "name": "api_key"},
                "login": {"type": "http", "scheme": "basic"},
                "oauth": {"type": "oauth2", "flows": {}},
            }
        },
    }
