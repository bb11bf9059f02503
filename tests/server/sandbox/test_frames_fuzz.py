"""Random input to the server's half of the frames: never anything but a true message or a violation.

Most of it are frames of ours with something changed, which get deeper than noise does; `FUZZ_EXAMPLES` sets how much.
"""

import copy
import json
import os
import random
import runpy
import socket
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from toolweft_catalog.call import Result
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox import frames
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.broker import ChildSession
from toolweft_server.sandbox.frames import ViolationError
from toolweft_server.sandbox.limits import Limits

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(3600)]

RULES = runpy.run_path(str(Path(__file__).parent / "frame_rules.py"))
SEED = int(os.environ.get("FUZZ_SEED", "20261121"))
ARGUMENTS = 1000
ERROR = {"type": "E", "message": "m", "line": 3, "frames": ["line 3: x"], "locals": {"x": "1"}, "hint": None}
DONE = {"kind": "done", "id": "r", "status": "ok", "value": {"a": [None, 1]}, "b": [[["a", 0], "image/png", "aGk="]],
        "repr": None, "error": None, "limits": ["stdout=4 KiB"]}  # fmt: skip
FRAMES = [
    {"kind": "hello", "version": 1, "guarded": True},
    {"kind": "call", "c": 1, "f": "box.echo", "a": [1, "x"], "k": {"n": None}},
    {"kind": "describe", "c": 2, "f": "box.echo"},
    {"kind": "function", "c": 3, "name": "f", "version": None},
    {"kind": "save", "c": 4, "name": "f"},
    {"kind": "file", "name": "a/b.txt", "data": "aGk="},
    DONE,
    {**DONE, "status": "error", "error": ERROR, "value": None, "b": []},
    {**DONE, "value": None, "b": [], "repr": "<object>"},
]
ODD = [
    None, True, False, 0, -1, 1, 2**53, 2**53 - 1, 2**64, 0.5, 1e308, "", "x", "\x00", "a\nb", "\x1b[2J", "\u202e",
    "\u2028", "\x9b", "\ud800", "..", "/", "../x", "a//b", "\\", "x" * 301, "ok", "error", "call", "done", "image/png",
    "a/b\n", "aGk=", "aGk", "!", [], {}, [[]], [1], [None], {"": None}, ["a", 0], ERROR, [[[], "a/b", ""]],
    [[["a", 0], "a/b", ""]] * 2, "\ud83d\ude00", [["a", -1], "a/b", ""], "x" * 201, 10**400,
]  # fmt: skip
BYTES = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 5000, b"\\ud800", b"\\ud83d\\ude00", b"\xff", b"\xed\xa0\x80",
    b"[" * 120, b"]" * 120, b"{", b"}", b'"', b",", b"\x00", b"\\u0000", b"\\u001b", b"null", b"true",
    b'"kind":"call",', b"\xef\xbb\xbf", b" ", b"\n", b"-0", b"1.0", b"/*x*/", b"'",
]  # fmt: skip


def changed(rng: random.Random) -> bytes:
    """A frame of ours with up to three values wrong, missing or too many."""
    frame = json.loads(json.dumps(rng.choice(FRAMES)))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        node, key = rng.choice(list(_places(frame)))
        match rng.randrange(4):
            case 0:
                del node[key]
            case 1 if isinstance(node, dict):
                node[rng.choice(("x", "kind", "c", "name", "value", "b", "version", "\x1b", "a"))] = copy.deepcopy(
                    rng.choice(ODD)
                )
            case 2 if isinstance(node, list):
                node.insert(key, copy.deepcopy(rng.choice(ODD)))
            case _:
                node[key] = copy.deepcopy(rng.choice(ODD))
        if not frame:
            break
    return json.dumps(frame, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def bent(rng: random.Random, body: bytes) -> bytes:
    """The same with one to three places wrong that know nothing of JSON."""
    bent = bytearray(body)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(bent) + 1)
        match rng.randrange(4):
            case 0:
                bent[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                bent[at:at] = rng.choice(BYTES)
            case 2:
                del bent[at : at + rng.randrange(1, 9)]
            case _:
                bent[at : at + rng.randrange(6)] = bent[: rng.randrange(20)]
    return bytes(bent)


def _places(frame):
    todo = [frame]
    while todo:
        node = todo.pop()
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield node, key
            if isinstance(child, dict | list):
                todo.append(child)


def examine(body: bytes) -> bool:
    """Whether it was taken for a message; everything that must hold of one is looked at."""
    try:
        message = frames.parse(body, arguments=ARGUMENTS)
    except ViolationError as error:
        assert not RULES["steers"](str(error)), body  # noqa: PT017  (both ways out are looked at)
        return False
    assert RULES["allowed"](body, arguments=ARGUMENTS), body
    for name in ("tool", "name"):
        assert not RULES["steers"](getattr(message, name, "")), body
    if isinstance(message, frames.Done):
        told, blobs = frames.split(message.value)
        frames.encode({"value": told, "b": blobs})[4:].decode("utf-8")
        assert not any(RULES["steers"](each) for each in message.limits), body
        if message.error is not None:
            assert not any(map(RULES["steers"], [message.error.type, *message.error.locals])), body
            shown = [message.error.message, *message.error.frames, *message.error.locals.values()]
            assert not any(RULES["steers"](each, lines=True) for each in [*shown, message.error.hint or ""]), body
            message.error.model_dump_json()
    if isinstance(message, frames.CallRequest):
        frames.encode({"a": message.args, "k": message.kwargs})[4:].decode("utf-8")
    return True


def test_changed_frame_is_a_violation_or_what_the_rules_allow(fuzz_examples):
    rng = random.Random(SEED)
    count, taken = 0, 0
    while count < max(fuzz_examples, 2000):
        body = changed(rng)
        bodies = [body, *(bent(rng, body) for _ in range(4))]
        count, taken = count + len(bodies), taken + sum(map(examine, bodies))
    print(f"seed {SEED}: {taken} of {count} were messages")
    assert 0 < taken < count


def test_stream_of_bytes_cut_anywhere_gives_frames_or_a_violation(fuzz_examples):
    rng = random.Random(SEED + 1)
    for _ in range(max(fuzz_examples // 100, 50)):
        stream = bytearray()
        for _ in range(rng.randrange(1, 6)):
            body = bent(rng, changed(rng)) if rng.random() < 0.3 else changed(rng)
            length = len(body) if rng.random() < 0.9 else rng.choice((0, 1, 3, 4096, 4097, 2**31, 2**32 - 1))
            stream += frames.HEADER.pack(length) + body
        buffer = frames.Buffer(cap=4096)
        try:
            while stream:
                cut = rng.choice((1, 2, 3, 5, 50, 5000))
                buffer.feed(bytes(stream[:cut]))
                del stream[:cut]
                while (body := buffer.next()) is not None:
                    assert len(body) <= 4096
                    examine(body)
        except ViolationError as error:
            assert "above the cap" in str(error)  # noqa: PT017  (whole frames may come before it)


class Scripted:
    """A child that says what it is told to say: a `Child` whose process is a task of the test."""

    def __init__(self):
        self.channel, self.far = socket.socketpair()
        self.channel.setblocking(False)
        self.far.setblocking(False)
        self.pipes = os.pipe(), os.pipe()
        self.outputs = self.pipes[0][0], self.pipes[1][0]
        for fd in self.outputs:
            os.set_blocking(fd, False)
        self.guarded = False
        self.ended = False

    @property
    def alive(self):
        return not self.ended

    def interrupt(self):
        pass

    freeze = thaw = interrupt

    def kill(self):
        if not self.ended:
            self.ended = True
            self.far.close()

    def cpu(self):
        return None

    async def aclose(self):
        self.kill()
        if self.channel.fileno() >= 0:
            self.channel.close()
            for pair in self.pipes:
                os.close(pair[0])
                os.close(pair[1])
        return -9

    async def exit_status(self):
        return await self.aclose()


class Box:
    async def call(self, tool, args, kwargs):
        return Result([*args, dict(kwargs)])

    async def describe(self, tool):
        return tool

    async def function(self, name, version):
        return f"no {name!r}"

    async def save(self, name):
        return name


async def speak(child: Scripted, rng: random.Random) -> None:
    good = rng.random() < 0.3  # one that comes to an end of its own
    bodies = [json.dumps(each).encode() for each in (*FRAMES[1:6], DONE)]
    if not good:
        bodies = [changed(rng) for _ in range(rng.randrange(1, 8))]
    stream = b"".join(frames.HEADER.pack(len(body)) + body for body in bodies)
    if not good and rng.random() < 0.3:
        at = rng.randrange(len(stream))
        stream = stream[:at] + rng.randbytes(4) + stream[at:]
    try:
        for start in range(0, len(stream), size := rng.choice((7, 100, 100_000))):
            child.far.send(stream[start : start + size])
            await anyio.lowlevel.checkpoint()
        os.write(child.pipes[0][1], rng.randbytes(rng.randrange(300)))
        if not good:
            child.far.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it was ended in the middle


async def test_whatever_a_child_says_its_run_ends_in_an_outcome(fuzz_examples):
    rng = random.Random(SEED + 2)
    seen = set()
    for _ in range(max(min(fuzz_examples // 100, 20_000), 200)):
        child = Scripted()
        session = ChildSession(child, Limits(wall=5.0, stdout=100, frame=4096, arguments=ARGUMENTS))
        try:
            child.far.send(frames.encode({"kind": "hello", "version": 1, "guarded": False}))
            with anyio.fail_after(20):
                await session.start()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(speak, child, rng)
                    outcome = await session.run(Program("r", "", ()), Box())
                    tasks.cancel_scope.cancel()
            seen.add(outcome.status)
            assert outcome.status in {"ok", "error", "violation", "crashed"}
        except SandboxError as error:
            pytest.fail(f"the sandbox itself failed: {error}")
        finally:
            await session.aclose()
    assert {"ok", "violation", "crashed"} <= seen
