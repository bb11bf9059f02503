"""The choice of a tier where the kernel refuses: in a container with usual settings, as root and as somebody else.

Emulated by a system call filter and the capabilities that Docker leaves, around a server's own process.
"""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

import anyio
import pytest

import tiers

SERVER = """
import json, sys
from pathlib import Path
import anyio
import tiers
from toolweft_server.sandbox import platforms
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.choose import ChosenSandbox
from toolweft_server.sandbox.limits import Limits

async def main(folder):
    wanted = [name for name in platforms.order("linux") if name in tiers.ISOLATING]
    chosen = ChosenSandbox(wanted, lambda name, _: tiers.backend(name, folder), cache=folder / "checked")
    verdicts = await chosen.examine()
    session = await chosen.open(Limits())
    outcome = await session.run(Program("x", "import os\\n[1 + 1, os.getuid()]"), None)
    told = {"tier": chosen.name, "value": outcome.value}
    await session.aclose()
    await chosen.aclose()
    told["left"] = [path.name for path in folder.iterdir()]
    print(json.dumps(told | {"refused": {name: each.why_not for name, each in verdicts.items() if not each.ok}}))

anyio.run(main, Path(sys.argv[1]))
"""

ROOT = Path(tiers.__file__).parents[2]
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(str(ROOT / each) for each in ("tests/support", "server", "tools_catalog")),
    "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root can put up a container's walls"
)


def contained(who, *command):
    """The same command in an emulated container: its walls are put up by this interpreter, whatever runs in them."""
    return [sys.executable, str(ROOT / "tests/support/contained.py"), who, *command]


async def runs(command):
    return (await anyio.run_process(command, env=ENVIRONMENT, check=False, cwd="/")).returncode == 0


async def interpreter(who):
    """One that this user may run in a container, with what the server needs."""
    if not await runs(contained("root", "/bin/true")):
        pytest.skip("this process may not install system call filters: it is in a container already")
    for python in dict.fromkeys([sys.executable, "/usr/bin/python3"]):
        if await runs(contained(who, python, "-c", "import toolweft_server.sandbox.choose, tiers")):
            return python
    pytest.skip(f"no interpreter that {who} may run has toolweft's dependencies")


@pytest.fixture
def folder():
    """For every user, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="toolweft-container-") as made:
        Path(made).chmod(0o777)
        yield made


@pytest.mark.parametrize(("who", "tier"), [("root", "chroot"), ("user", "landlock")])
async def test_the_best_tier_is_found_where_namespaces_are_refused(who, tier, folder):
    python = await interpreter(who)
    done = await anyio.run_process(contained(who, python, "-c", SERVER, folder), env=ENVIRONMENT, check=False, cwd="/")
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert (told["tier"], told["value"][0]) == (tier, 2)
    assert told["value"][1] != 0
    assert "unshare: Operation not permitted" in told["refused"]["namespaces"]
    assert "bwrap" in told["refused"]["bwrap"]
    assert told["refused"].get("chroot", "needs root").endswith("needs root")
    assert {name.partition("-")[0] for name in told["left"]} <= {"checked", "root"}


ONE = """
import sys
from pathlib import Path
import anyio
import tiers
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.limits import Limits

async def main():
    try:
        await tiers.backend("namespaces", Path("/nowhere")).open(Limits())
    except SandboxError as error:
        print(error)

anyio.run(main)
"""


@pytest.mark.parametrize("step", ["unshare", "mount", "pivot_root", "umount2"])
async def test_refused_step_is_named(step):
    python = await interpreter("root")
    done = await anyio.run_process(contained(f"root,{step}", python, "-c", ONE), env=ENVIRONMENT, cwd="/")
    assert re.search(rf"\b{step}\b.*: Operation not permitted", done.stdout.decode())
