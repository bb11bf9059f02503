"""Boots the child and serves its runs, one after another, until the server closes the channel."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
from _thread import stack_size
from collections.abc import Callable, Mapping, Sequence
from os import _exit
from pathlib import Path
from typing import Any, TextIO

from .channel import Channel, Replies, Unheard, frame
from .files import Files
from .interrupt import Interrupt
from .program import Session
from .report import clear, report, shown
from .values import MAX_BLOBS, decode, encode, pack

FRAME_FD = 3
VERSION = 1
EXIT_BOOT = 70
THREAD_STACK = 1 << 20
"""Many small threads fit the address space that a program has; eight megabytes each would not."""

PRELOAD_AFTER = 0.003
PRELOAD = ("asyncio", "concurrent.futures.thread", "datetime", "dataclasses", "re", "random", "collections", "math")
"""What programs use most: imported while the child waits for its first run."""
REHEARSAL = (
    '{"kind":"run","id":"0","code":"1\\n1 + 1","servers":[],"limits":{"arguments":65536,"value":65536,'
    '"value_repr":65536,"frame":1048576,"error":4096,"disk":0}}'
)

_opened: dict[int, TextIO] = {}
_setrecursionlimit, _recursion = sys.setrecursionlimit, sys.getrecursionlimit()


def boot(given: Mapping[str, Any]) -> None:
    """Everything before the first run, for a process that serves one session.

    A step that fails ends the child with its reason on stderr.
    """
    if given["fd"] != FRAME_FD:
        os.dup2(given["fd"], FRAME_FD, inheritable=False)
        os.close(given["fd"])
    for name in given.get("forget", ()):
        os.environ.pop(name, None)
    guarded = _die_with(given["parent"])
    if (packages := given.get("packages")) is not None:
        sys.path.append(packages)
    if (walls := given.get("walls")) is not None:
        lockdown = importlib.import_module("linux.lockdown")
        lockdown.close_in(lockdown.Walls(**walls), given["rlimits"])
    else:
        _limit(given["rlimits"])
    serve(work=str(Path.cwd()), guarded=guarded, modules=given.get("modules", ()))


def serve(*, work: str | None, guarded: bool, modules: Sequence[str] = ()) -> None:
    """Serves runs until the server closes the channel, and never returns.

    `work` is the folder whose files go in and out. `guarded`: the kernel ends this process with the server.
    `modules` of packages are imported while nothing else is to be done.
    """
    stack_size(THREAD_STACK)
    interrupt = Interrupt()
    interrupt.install()
    channel = Channel(FRAME_FD, interrupt)
    session, files = Session(channel), Files(work)
    channel.send(frame("hello", version=VERSION, guarded=guarded))
    channel.start()
    _preload(channel, interrupt, session, files)
    import_ahead(modules, until=lambda: not channel.runs.empty())
    while True:
        given = channel.runs.get()
        if given["kind"] == "put":
            files.put(given["name"], given["data"])
        elif failed := files.handed_in():
            done = f'"limits":[],"status":"error","error":{encode(failed)},"value":null,"repr":null'
            channel.close(f'{{"kind":"done","id":{encode(given["id"])},{done}}}')
        else:
            _serve(given, channel, interrupt, session, files)


def _die_with(parent: int) -> bool:
    """Asks the kernel (Linux) to end this process with the thread that started it."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    pr_set_pdeathsig = 1
    done: int = ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        _exit(EXIT_BOOT)  # the server died while we started
    return done == 0


def _limit(rlimits: Mapping[str, list[int]]) -> None:
    try:
        import resource
    except ImportError:
        return
    for name, pair in rlimits.items():
        which = getattr(resource, name, None)
        if which is None:
            continue
        ceiling = resource.getrlimit(which)[1]
        soft, hard = (value if ceiling == resource.RLIM_INFINITY else min(value, ceiling) for value in pair)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(which, (soft, hard))


def _preload(channel: Channel, interrupt: Interrupt, session: Session, files: Files) -> None:
    """Only while nothing is asked for: a cold start has its program already on the way."""
    time.sleep(PRELOAD_AFTER)
    for name in PRELOAD:
        if not channel.runs.empty():
            return
        with contextlib.suppress(ImportError):
            __import__(name)
    if channel.runs.empty():
        # The whole way of a program that leaves nothing: memory that it writes to is still the zygote's and is copied
        # at the first touch, some sixty pages of it, so that the first real program would wait for them.
        _serve(decode(REHEARSAL), Unheard(), interrupt, session, files)
        session.forget()


def import_ahead(modules: Sequence[str], until: Callable[[], bool] = lambda: False) -> None:
    """What fails here fails again when a program imports it; what is printed here is no program's output."""
    if not modules:
        return
    _streams()  # modules may keep these for good: they must be the ones that programs write to
    try:
        null = os.open(os.devnull, os.O_WRONLY)
    except OSError:  # a tier without it: the first import is a program's own
        return
    kept = [os.dup(1), os.dup(2)]
    for place in (1, 2):
        os.dup2(null, place, inheritable=False)
    for name in modules:
        if until():
            break
        with contextlib.suppress(BaseException):  # panics of Rust are no `Exception`
            __import__(name)
    _flush()
    for place, fd in zip((1, 2), kept, strict=True):
        os.dup2(fd, place, inheritable=False)
    for fd in (null, *kept):
        os.close(fd)


def _serve(run: dict[str, Any], channel: Replies, interrupt: Interrupt, session: Session, files: Files) -> None:
    """One run: everything that it may leave behind in this process is put right before the next."""
    limits = run["limits"]
    session.bridge.arguments = limits["arguments"]
    session.bridge.hit.clear()
    file = session.prepare(run["servers"])
    _streams()
    interrupt.install()
    channel.open()
    failure: BaseException | None = None
    value = None
    try:
        interrupt.armed = True
        value = session.execute(run["code"], file)
        done = _value(value, limits)
        interrupt.armed = False
    except BaseException as error:  # noqa: BLE001  (whatever a program raises is data)
        interrupt.armed = False  # a call in this place would itself be open to an interrupt
        _setrecursionlimit(_recursion)
        failure = error
        done = _failure(error, file, limits)
    interrupt.disarm()
    _setrecursionlimit(_recursion)
    clear(failure)
    value = failure = None
    _flush()
    if channel.forked:
        _exit(0)
    notes = [*_send_files(channel, files, limits["disk"]), *session.bridge.hit]
    channel.close(f'{{"kind":"done","id":{encode(run["id"])},"limits":{encode(notes + done[0])},{done[1]}}}')


def _value(value: Any, limits: Mapping[str, int]) -> tuple[list[str], str]:
    """The last part of `done` for a program that ended well."""
    ok = '"status":"ok","error":null'
    notes: list[str] = []
    try:
        text, blobs = pack(value)
    except (TypeError, ValueError):
        pass
    else:
        extra = encode(blobs) if blobs else "[]"
        few = len(blobs) <= MAX_BLOBS
        if few and len(text) <= limits["value"] and len(text) + len(extra) <= limits["frame"] - (1 << 16):
            return notes, f'{ok},"value":{text},"b":{extra},"repr":null'
        notes.append(f"value={limits['value']} bytes" if few else f"value={MAX_BLOBS} blobs")
    # A repr may use four bytes a character, and a value is data, not a report.
    most = min(limits["value_repr"], limits["frame"] // 8)
    cut = shown(value, most)
    if len(cut) == most:
        notes.append(f"value_repr={most} characters")
    return notes, f'{ok},"value":null,"repr":{encode(cut)}'


def _failure(error: BaseException, file: str, limits: Mapping[str, int]) -> tuple[list[str], str]:
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return [], '"status":"ok","error":null,"value":null,"repr":null'
    try:
        told = report(error, file, limits["error"])
    except BaseException:  # noqa: BLE001  (a program may have broken anything that the report uses)
        told = {"type": type(error).__name__, "message": "", "line": None, "frames": [], "locals": {}, "hint": None}
    notes = [f"error={limits['error']} characters"] if len(told["message"]) >= limits["error"] else []
    return notes, f'"status":"error","error":{encode(told)},"value":null,"repr":null'


def _send_files(channel: Replies, files: Files, cap: int) -> list[str]:
    notes = []
    for part in files.changed(cap):
        if isinstance(part, str):
            notes.append(part)
        else:
            channel.send(frame("file", name=part[0], data=part[1]))
    return notes


def _streams() -> None:
    """Output streams of this run's own: the last program may have closed or replaced them."""
    for fd, name in ((1, "stdout"), (2, "stderr")):
        if (old := _opened.get(fd)) is not None and getattr(sys, name) is old and not old.closed:
            continue
        stream = open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115  (it is the program's)
        _opened[fd] = stream
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
