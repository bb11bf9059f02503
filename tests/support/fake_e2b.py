"""E2B on this machine: the server side that the SDK ships, a few REST endpoints, and real processes in folders.

It isolates nothing: only programs of our own may run in it. What it adds to the real one is control: connections that
break when a test says so, a clock that a test advances, and refusals.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from e2b.envd.process import process_connect, process_pb
from protobuf import Oneof
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "e2b_" + "5ec2e7" * 6 + "0000"


@dataclass
class Box:
    """One sandbox: a folder, and the processes that work in it."""

    id: str
    folder: Path
    token: str
    asked: dict
    ends: float
    paused: bool = False
    gone: bool = False
    streams: int = 0
    commands: dict = field(default_factory=dict)

    def processes(self, folder=None):
        """Every process at work in the folder, whoever started it, as its place in /proc."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(folder or self.folder):
                    found.append(entry)
        return found

    def signal(self, number):
        for entry in self.processes():
            with contextlib.suppress(OSError):
                os.kill(int(entry.name), number)


class Command:
    """A process and what it said, for whoever listens."""

    def __init__(self, process):
        self.process = process
        self.said = asyncio.Queue()
        self.reading = asyncio.gather(self._read("stdout", process.stdout), self._read("stderr", process.stderr))

    async def _read(self, name, stream):
        while data := await stream.read(32 * 1024):
            self.said.put_nowait(process_pb.ProcessEvent.DataEvent(output=Oneof(name, data)))

    async def end(self):
        await asyncio.shield(self.reading)
        await self.process.wait()


class Processes:
    """The service of the SDK's generated interface, as far as it is asked for."""

    def __init__(self, fake):
        self.fake = fake

    async def start(self, request, ctx):
        box = self.fake.box_of(ctx.request_headers)
        self.fake.seen.append(("Start", repr(request)))
        self.fake.deaf = False
        process = await asyncio.create_subprocess_exec(
            request.process.cmd,
            *(each for each in request.process.args if each != "-l"),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=box.folder, env={"PATH": f"{Path(sys._base_executable).parent}:/usr/bin:/bin", "SECRET": "of the VM"},
        )  # fmt: skip
        command = box.commands[process.pid] = Command(process)
        box.streams += 1
        try:
            yield _started("start", process_pb.ProcessEvent.StartEvent(pid=process.pid))
            ended = asyncio.ensure_future(command.end())
            try:
                while not (ended.done() and command.said.empty()):
                    heard = asyncio.ensure_future(command.said.get())
                    await asyncio.wait({heard, ended}, return_when=asyncio.FIRST_COMPLETED)
                    if heard.done():
                        yield _started("data", heard.result())
                    heard.cancel()
            finally:
                ended.cancel()
            if box.gone:
                raise ConnectError(Code.UNAVAILABLE, f"the sandbox {box.id} was not found")
            yield _started("end", process_pb.ProcessEvent.EndEvent(exit_code=process.returncode, exited=True))
        finally:
            box.streams -= 1

    async def stream_input(self, request, ctx):
        box, command = self.fake.box_of(ctx.request_headers), None
        async for message in request:
            match message.event:
                case Oneof(field="start", value=start):
                    command = box.commands[start.process.selector.value]
                case Oneof(field="data", value=data) if not self.fake.deaf:
                    self.fake.seen.append(("StreamInput", data.input.input.value.decode()))
                    with contextlib.suppress(ConnectionError):
                        command.process.stdin.write(data.input.input.value)
                        await command.process.stdin.drain()
        return process_pb.StreamInputResponse()

    def __getattr__(self, name):
        async def missing(*_):
            raise ConnectError(Code.UNIMPLEMENTED, name)

        return missing


def _started(field_name, value):
    return process_pb.StartResponse(event=process_pb.ProcessEvent(event=Oneof(field_name, value)))


class FakeE2B:
    """`async with FakeE2B(folder) as fake`: `fake.url` is both the API's address and the sandboxes'."""

    def __init__(self, folder):
        self.folder = folder
        self.boxes = {}
        self.seen = []
        """Every request to a sandbox, as text."""
        self.now = 0.0
        self.refusal = None
        self.deaf = False
        """Takes what is sent to a command and throws it away, until the next command starts."""
        self.paused, self.resumed, self.killed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.streams_at_pause = []

    async def __aenter__(self):
        rest = Starlette(routes=[
            Route("/v2/sandboxes", self.create, methods=["POST"]),
            Route("/v2/sandboxes/{id}/connect", self.connect, methods=["POST"]),
            Route("/sandboxes/{id}/timeout", self.timeout, methods=["POST"]),
            Route("/sandboxes/{id}/pause", self.pause, methods=["POST"]),
            Route("/sandboxes/{id}", self.kill, methods=["DELETE"]),
            Route("/health", self.health),
            Route("/files", self.write, methods=["POST"]),
        ])  # fmt: skip
        processes = process_connect.ProcessASGIApplication(Processes(self))

        async def app(scope, receive, send):
            await (processes if scope["path"].startswith(processes.path) else rest)(scope, receive, send)

        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext
        self._serving = asyncio.ensure_future(self._server.serve([listener]))
        return self

    async def __aexit__(self, *_):
        for box in self.boxes.values():
            await self.end(box)
        self.drop()
        self._server.should_exit = True
        await self._serving

    # What a test does to it

    @property
    def running(self):
        return [box.id for box in self.boxes.values() if not box.gone and not box.paused]

    def drop(self):
        """Breaks every connection, in the middle of whatever it carries."""
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    async def advance(self, seconds):
        """Lets time pass: sandboxes that run past their timeout end, paused ones do not."""
        self.now += seconds
        for box in self.boxes.values():
            if not box.paused and box.ends <= self.now:
                await self.end(box)

    async def asleep(self):
        """Waits until every sandbox is paused, and there is one."""
        while not self.boxes or self.running:
            self.paused.clear()
            await self.paused.wait()

    async def end(self, box):
        if not box.gone:
            box.gone = True
            box.signal(signal.SIGKILL)
            for command in box.commands.values():
                await command.end()
            self.killed.set()

    # What the SDK asks of it

    def box_of(self, headers):
        box = self.boxes.get(headers.get("e2b-sandbox-id"))
        if box is None or box.gone or box.paused:
            raise ConnectError(Code.UNAVAILABLE, "the sandbox was not found")
        if headers.get("x-access-token") != box.token:
            raise ConnectError(Code.UNAUTHENTICATED, "wrong token")
        return box

    def asked(self, request):
        """The sandbox that a request of the API names, or the refusal."""
        if self.refusal is not None:
            return JSONResponse({"code": self.refusal, "message": f"no, {request.headers['x-api-key']}"}, self.refusal,
                                {"Should-Retry": "false"})  # fmt: skip
        if request.headers.get("x-api-key") != KEY:
            return JSONResponse({"code": 401, "message": "unknown key"}, 401)
        if (name := request.path_params.get("id")) is None:
            return None
        box = self.boxes.get(name)
        return JSONResponse({"code": 404, "message": "no such sandbox"}, 404) if box is None or box.gone else box

    async def create(self, request: Request):
        if (refused := self.asked(request)) is not None:
            return refused
        asked = await request.json()
        box = Box(f"i{len(self.boxes)}{secrets.token_hex(4)}", self.folder / str(len(self.boxes)), secrets.token_hex(8),
                  asked, self.now + asked["timeout"])  # fmt: skip
        box.folder.mkdir()
        self.boxes[box.id] = box
        return _described(box, 201)

    async def connect(self, request: Request):
        if not isinstance(box := self.asked(request), Box):
            return box
        if box.paused:
            box.paused = False
            box.signal(signal.SIGCONT)
            self.resumed.set()
        box.ends = max(box.ends, self.now + (await request.json())["timeout"])
        return _described(box, 200)

    async def timeout(self, request: Request):
        if not isinstance(box := self.asked(request), Box):
            return box
        box.ends = self.now + (await request.json())["timeout"]
        return Response(status_code=204)

    async def pause(self, request: Request):
        if not isinstance(box := self.asked(request), Box):
            return box
        if box.paused:
            return JSONResponse({"code": 409, "message": "paused already"}, 409)
        self.streams_at_pause.append(box.streams)
        box.paused = True
        box.signal(signal.SIGSTOP)
        self.paused.set()
        return Response(status_code=204)

    async def kill(self, request: Request):
        if not isinstance(box := self.asked(request), Box):
            return box
        await self.end(box)
        return Response(status_code=204)

    async def health(self, request: Request):
        box = self.boxes.get(request.headers.get("e2b-sandbox-id"))
        if box is None or box.gone or box.paused:
            return JSONResponse({"code": 502, "message": "The sandbox was not found"}, 502)
        return Response(status_code=204)

    async def write(self, request: Request):
        box = self.box_of(request.headers)
        path = box.folder / request.query_params["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        async with request.form() as form:
            path.write_bytes(await form["file"].read())
        return JSONResponse([{"name": path.name, "type": "file", "path": str(path)}])


def _described(box, status):
    return JSONResponse(
        {"templateID": box.asked.get("templateID", ""), "sandboxID": box.id, "clientID": "c", "envdVersion": "0.6.2",
         "envdAccessToken": box.token}, status,
    )  # fmt: skip
