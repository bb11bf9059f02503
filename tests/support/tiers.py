"""Which tiers this machine can run: found out by running them, once."""

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


async def start(name, folder):
    """The tier, ready to open sessions; skips the test when this machine does not run it, and says why."""
    found = backend(name, folder)
    try:
        session = await found.open(Limits())
    except SandboxError as error:
        await found.aclose()
        pytest.skip(f"{name}: {error}")
    await session.aclose()
    return found
