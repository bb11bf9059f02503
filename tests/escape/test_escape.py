"""No hostile program gets through: on every tier of this machine, as this user and, for root, as an ordinary one."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import anyio
import pytest
from escape.attack import AREAS, attacks
from escape.battery import Box, Report, battery
from escape.tiers import EXCEPTIONS, ISOLATING, backend_of

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import MIB, Limits
from toolweft_server.sandbox.pool import Sessions

pytestmark = [
    pytest.mark.escape,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the witnesses and most walls are Linux's"),
]

ORDINARY = 31_999
"""A user's number that no machine has given to anybody."""
NEEDED = ("annotated_types", "anyio", "idna", "platformdirs", "pydantic", "pydantic_core", "pydantic_monty", "sniffio",
          "typing_extensions", "typing_inspection")  # fmt: skip

ATTACKS = {attack.id: attack for attack in attacks()}
REPORTS: dict[tuple[str, str], Report | str] = {}


@pytest.fixture(params=["this user", "an ordinary user"])
def user(request):
    return request.param


@pytest.fixture(params=ISOLATING)
def tier(request):
    return request.param


@pytest.fixture(scope="session")
def share(request):
    """Of the tiers behind the first, each so manieth program; with `--escape` all."""
    return {tier: 1 if tier == ISOLATING[0] or request.config.getoption("--escape") else 6 for tier in ISOLATING}


@pytest.fixture
async def report(tier, user, share, tmp_path_factory):
    """What the battery found; it runs once for each tier and user."""
    key = tier, user
    if key not in REPORTS:
        where = here if user == "this user" else elsewhere
        REPORTS[key] = await where(tier, share[tier], tmp_path_factory.mktemp(tier))
    found = REPORTS[key]
    return pytest.skip(found) if isinstance(found, str) else found


async def here(tier, share, folder):
    backend = backend_of(tier, folder)
    try:
        return await battery(backend, only=attacks()[::share])
    except SandboxError as error:
        return f"this machine does not run {tier}: {error}"
    finally:
        await backend.aclose()


async def elsewhere(tier, share, _folder):
    if os.getuid() != 0:
        return "the tests run as an ordinary user already"
    python = interpreter()
    if python is None:
        return "no Python of this version that another user may run"
    return await anyio.to_thread.run_sync(as_somebody_else, tier, share, python)


def interpreter():
    """A Python like ours that lies where everybody may read; ours may be in a home of mode 0700."""
    version = "{}.{}".format(*sys.version_info)
    for path in (getattr(sys, "_base_executable", sys.executable), f"/usr/bin/python{version}"):
        try:
            done = subprocess.run(
                [path, "-I", "-c", "import asyncio, ctypes, sys; print('%d.%d' % sys.version_info[:2])"],
                user=ORDINARY, group=ORDINARY, extra_groups=[], capture_output=True, check=True, encoding="utf-8",
                cwd="/",
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            continue
        if done.stdout.strip() == version:
            return path
    return None


def as_somebody_else(tier, share, python):
    root = Path("/tmp") / f"tw-escape-copy-{os.getpid()}"
    copied = root / "lib"
    if not root.exists():
        copied.mkdir(parents=True)
        root.chmod(0o755)
        for name in (*NEEDED, "toolweft_server", "toolweft_catalog"):
            if (spec := find_spec(name)) is not None:
                source = Path(spec.origin)
                if source.name == "__init__.py":
                    shutil.copytree(
                        source.parent, copied / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
                    )
                else:
                    shutil.copy(source, copied)
        shutil.copytree(Path(__file__).parent, copied / "escape", ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run(["chmod", "-R", "a+rX", str(root)], check=True)
        if monty := shutil.which("monty", path=str(Path(sys.executable).parent)):
            shutil.copy(monty, copied)
        home = root / "home"
        home.mkdir()
        home.joinpath("diary.txt").touch()
        os.chown(home, ORDINARY, ORDINARY)
    done = subprocess.run(
        [python, "-X", "utf8", "-m", "escape.battery", tier, str(share)], cwd=root / "home",
        env={"PYTHONPATH": str(copied), "HOME": str(root / "home"), "PATH": os.environ["PATH"],
             "MONTY_BIN": str(copied / "monty")},
        user=ORDINARY, group=ORDINARY, extra_groups=[],
        capture_output=True, encoding="utf-8", check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    return f"an ordinary user cannot have {tier} here: {told['refused']}" if "refused" in told else Report(**told)


@pytest.fixture(scope="module", autouse=True)
def copies():
    yield
    shutil.rmtree(f"/tmp/tw-escape-copy-{os.getpid()}", ignore_errors=True)


async def test_no_program_gets_through(report, tier, share):
    assert len(report.verdicts) == len(list(ATTACKS)[:: share[tier]])
    assert {name: said for name, said in report.open().items() if name not in EXCEPTIONS[tier]} == {}


async def test_every_program_comes_to_the_end_that_it_should(report):
    assert report.broken() == {}


async def test_the_host_and_the_next_run_are_unharmed(report):
    assert report.harm == []
    assert report.grown < 96 * MIB
    assert report.slowest_beat < 2


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.getuid() != 0, reason="what root may do is the measure")
async def test_programs_get_through_where_nothing_confines_them(tmp_path, share):
    backend = backend_of("unsafe-process", tmp_path)
    walled = [each for each in ATTACKS.values() if each.walled and not each.closed_here]
    report = await battery(backend, only=walled[:: max(share.values())])
    assert {name: said for name, said in report.verdicts.items() if not said.startswith("OPEN")} == {}


async def test_another_owner_of_a_session_of_the_same_name_sees_nothing(tier, tmp_path):
    backend = backend_of(tier, tmp_path)
    plant = (
        "import builtins, os, sys\nbuiltins.kept = sys.kept = x = 'mine'\nos.environ['KEPT'] = 'mine'\n"
        "try: open('left.txt', 'w').write('mine')\nexcept OSError: pass"
    )
    look = (
        "import builtins, os, sys\n[hasattr(builtins, 'kept'), hasattr(sys, 'kept'), 'x' in globals(), "
        "'KEPT' in os.environ, os.path.exists('left.txt')]"
    )
    if tier == "monty":  # there is nothing but variables to leave something in
        plant, look = "x = 'mine'", "try:\n    seen = bool(x)\nexcept NameError:\n    seen = False\n[seen] * 5"
    try:
        async with Sessions(backend, Limits()) as sessions:
            await sessions.run(Program("a", plant), Box(""), owner="anna", session="work")
            for owner, session in (("bert", "work"), ("anna", "other"), ("anna", None), ("bert", None)):
                ran = await sessions.run(Program("b", look), Box(""), owner=owner, session=session)
                assert ran.outcome.value == [False] * 5, (owner, session)
            ran = await sessions.run(Program("c", "x"), Box(""), owner="anna", session="work")
            assert ran.outcome.value == "mine"
    except SandboxError as error:
        pytest.skip(f"this machine does not run {tier}: {error}")
    finally:
        await backend.aclose()


def test_there_are_programs_for_every_area():
    assert len(ATTACKS) >= 90
    assert {attack.area for attack in ATTACKS.values()} == set(AREAS) == {
        "bridge", "cpu", "descriptors", "disk", "environment", "files", "frames", "kernel", "memory", "network",
        "one_after_another", "output", "privileges", "processes",
    }  # fmt: skip


def test_every_exception_names_a_program():
    assert {name for names in EXCEPTIONS.values() for name in names} <= set(ATTACKS)
