"""The devices that programs find are the machine's, and no program changes anything about them."""

import os
import sys
from pathlib import Path

import pytest

import tiers
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import Limits

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the tiers are Linux's")

CHANGE = """
import os
for path in ("/dev/null", "/dev/urandom"):
    for change in (lambda: os.chmod(path, 0o1666), lambda: os.chown(path, os.getuid(), -1)):
        try:
            change()
        except OSError:
            pass
open("/dev/null", "w").write("x"), open("/dev/null").read(), len(open("/dev/urandom", "rb").read(8))
"""


def state():
    return [(info.st_mode, info.st_uid) for info in (Path(path).stat() for path in ("/dev/null", "/dev/urandom"))]


@pytest.fixture
def before():
    """How they are; and so they are again should a program have changed them."""
    found = state()
    yield found
    if state() != found:
        for path, (mode, user) in zip(("/dev/null", "/dev/urandom"), found, strict=True):
            Path(path).chmod(mode & 0o7777)
            os.chown(path, user, -1)


@pytest.mark.parametrize("tier", tiers.ISOLATING)
async def test_devices_work_and_stay_as_they_are(tier, before, tmp_path):
    backend = await tiers.start(tier, tmp_path)
    try:
        session = await backend.open(Limits())
        outcome = await session.run(Program("x", CHANGE), None)
        await session.aclose()
        assert state() == before
        assert (outcome.error, outcome.value) == (None, [1, "", 8])
    finally:
        await backend.aclose()


async def test_the_machines_devices_are_mounted_read_only_in_namespaces(tmp_path):
    backend = await tiers.start("namespaces", tmp_path)
    try:
        session = await backend.open(Limits())
        outcome = await session.run(Program("x", "import os\nos.statvfs('/dev/null').f_flag & os.ST_RDONLY"), None)
        await session.aclose()
        assert outcome.value == os.ST_RDONLY
    finally:
        await backend.aclose()
