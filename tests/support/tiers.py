"""Which tiers this machine can run: found out by running them, once."""

import functools
import sys
import tempfile
from pathlib import Path

import anyio
import pytest

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.backends.bwrap import BwrapSandbox
from toolweft_server.sandbox.backends.linux import LinuxSandbox
from toolweft_server.sandbox.backends.local import UnsafeProcess
from toolweft_server.sandbox.limits import Limits

CPYTHON = ("unsafe-process", "namespaces", "bwrap", "chroot", "landlock")
ISOLATING = CPYTHON[1:]
WITHOUT_WORK_DIRECTORY = ("chroot", "landlock")


def backend(name, folder):
    if name == "unsafe-process":
        return UnsafeProcess(folder=folder)
    return BwrapSandbox(folder=folder) if name == "bwrap" else LinuxSandbox(name, cache=folder)


@functools.cache
def refusal(name):
    """Why this machine does not run the tier; nothing when it does."""

    async def start():
        with tempfile.TemporaryDirectory() as folder:
            found = backend(name, Path(folder))
            try:
                session = await found.open(Limits())
                await session.aclose()
            except SandboxError as error:
                return str(error)
            finally:
                await found.aclose()
        return ""

    return anyio.run(start) if sys.platform != "win32" else "no child processes on Windows"


def params(names):
    return [
        pytest.param(name, marks=pytest.mark.skip(reason=f"{name}: {why}")) if (why := refusal(name)) else name
        for name in names
    ]


HERE = params(CPYTHON)
