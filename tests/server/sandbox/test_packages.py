"""Package environments: installed once from wheels, whole or not at all, and clear when they cannot be."""

import os
import signal
import sys
import time

import anyio
import pytest
import pytest_asyncio

import tiers
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox import packages
from toolweft_server.sandbox.backends.bwrap import BwrapSandbox
from toolweft_server.sandbox.backends.linux import LinuxSandbox
from toolweft_server.sandbox.backends.local import UnsafeProcess
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import Limits
from wheels import wheel

SLOW = "import sys, time\nprint('at it', flush=True)\ntime.sleep(600)\n"


NOISY = """
import os, sys
print("noise")
os.write(1, b"native noise")
def say(text, file=sys.stdout):
    print(text, file=file)
from . import random
"""
PANIC = "class Panic(BaseException):\n    pass\nraise Panic('at import')\n"
RANDOM = "import os\nstate = b''\ndef seed():\n    global state\n    state = os.urandom(6)\nseed()\n"
"""The global generator of numpy as it is in this respect: seeded when it is imported."""


def lay_index(folder):
    """A folder of wheels, the only index there is."""
    folder.mkdir()
    wheel(folder, "little_one", needs=["little-two"])
    wheel(folder, "panics", files={"panics.py": PANIC})
    wheel(folder, "little_two", files={"little_two.py": ""})
    wheel(
        folder,
        "numpy",
        files={"numpy/__init__.py": NOISY, "numpy/random.py": RANDOM},
    )
    return folder


def environ_of(folder, index):
    """The installer's environment: our index, no uv, no settings of whoever runs the tests."""
    (folder / "bin").mkdir()
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    return {
        **kept, "PATH": str(folder / "bin"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index),
        "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1",
    }  # fmt: skip


@pytest.fixture
def index(tmp_path):
    return lay_index(tmp_path / "index")


@pytest.fixture
def environ(index, tmp_path):
    return environ_of(tmp_path, index)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def installed(tmp_path_factory):
    """An environment for tests that only look at it."""
    folder = tmp_path_factory.mktemp("installed")
    environ = environ_of(folder, lay_index(folder / "index"))
    with anyio.fail_after(120):
        return await packages.environment(["little-one", "numpy", "panics"], folder=folder / "cache", environ=environ)


@pytest.fixture
def install(tmp_path, environ):
    """Makes environments in a folder of the test's own."""

    async def make(*wanted, **more):
        with anyio.fail_after(120):
            return await packages.environment(wanted, folder=tmp_path / "cache", environ=environ, **more)

    return make


def entries(folder):
    """What lies there besides locks."""
    return sorted(each.name for each in folder.iterdir() if each.suffix != ".lock")


async def test_packages_and_what_they_need_are_installed_and_the_asked_ones_named_for_import(install):
    told = []
    made = await install("Little_One>=1", report=told.append)
    assert made.modules == ("little_one",)
    program = "import little_one, little_two; print(little_one.VERSION)"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(made.path)!r}); {program}"]
    assert (await anyio.run_process(command)).stdout == b"1.0\n"
    assert "installing little-one>=1 for programs" in told[0]
    assert any("Processing" in line or "Looking in links" in line for line in told)


async def test_an_environment_that_is_there_is_used_without_an_installer_or_a_network(install, environ, tmp_path):
    made = await install("little-one", "little_two")
    environ.update(PIP_FIND_LINKS=str(tmp_path / "gone"))
    told = []
    assert await install("little.two", "Little-One", report=told.append) == made
    assert told == []


async def test_other_requirements_are_another_environment(install):
    assert (await install("little-one")).path != (await install("little-two")).path


async def test_others_may_read_what_is_installed_but_nobody_else_writes_it(installed):
    for each in [installed.path.parent, installed.path, *installed.path.rglob("*")]:
        assert each.stat().st_mode & 0o777 in (0o755, 0o644), each


async def test_two_at_once_install_once(install):
    told, made = [], []

    async def one():
        made.append(await install("little-one", report=told.append))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one)
        tasks.start_soon(one)
    assert made[0] == made[1]
    assert sum("installing little-one for programs" in line for line in told) == 1
    assert sum("another process is installing" in line for line in told) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
async def test_a_server_killed_while_installing_leaves_no_half_made_environment(install, environ, tmp_path):
    uv = tmp_path / "bin" / "uv"
    uv.write_text(f"#!{sys.executable}\n{SLOW}", encoding="utf-8")
    uv.chmod(0o755)
    code = (
        "import anyio, pathlib, sys\nfrom toolweft_server.sandbox import packages\n"
        "async def main():\n"
        f"    await packages.environment(['little-one'], folder=pathlib.Path({str(tmp_path / 'cache')!r}),\n"
        f"        environ={environ!r}, report=lambda line: print(line, flush=True))\n"
        "anyio.run(main)\n"
    )
    async with await anyio.open_process([sys.executable, "-c", code], start_new_session=True) as server:
        said = ""
        async for data in server.stdout:
            said += data.decode()
            if "at it" in said:
                break
        os.killpg(server.pid, signal.SIGKILL)
    assert [name[:5] for name in entries(tmp_path / "cache")] == [".new-"]
    uv.unlink()
    made = await install("little-one")
    assert entries(tmp_path / "cache") == [made.path.parent.name]


async def test_cancelling_ends_the_installer_and_leaves_nothing(install, tmp_path):
    uv = tmp_path / "bin" / "uv"
    uv.write_text(f"#!{sys.executable}\n{SLOW}", encoding="utf-8")
    uv.chmod(0o755)
    async with anyio.create_task_group() as tasks:

        def report(line):
            if line == "at it":
                tasks.cancel_scope.cancel()

        tasks.start_soon(lambda: install("little-one", report=report))
    assert entries(tmp_path / "cache") == []


async def test_a_package_that_does_not_exist_is_named_with_what_the_installer_said(install, tmp_path):
    with pytest.raises(SandboxError) as told:
        await install("little-one", "no-such-thing>=2")
    text = str(told.value)
    assert text.startswith("no-such-thing>=2 could not be installed for programs (`sandbox.packages`).")
    assert "No matching distribution found for no-such-thing>=2" in text
    assert "Check the spelling" in text
    assert entries(tmp_path / "cache") == []


async def test_a_package_without_a_wheel_is_not_built(install, index):
    import io
    import tarfile

    setup = b"raise SystemExit('this code ran')\n"
    with tarfile.open(index / "sourced-1.0.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("sourced-1.0/setup.py")
        member.size = len(setup)
        archive.addfile(member, io.BytesIO(setup))
    with pytest.raises(SandboxError, match="sourced could not be installed") as told:
        await install("sourced")
    assert "this code ran" not in str(told.value)


async def test_the_password_of_an_index_is_in_no_error(install, environ):
    del environ["PIP_NO_INDEX"]
    environ.update(PIP_INDEX_URL="http://me:hunter2hunter2@127.0.0.1:1/simple", PIP_RETRIES="0")
    told = []
    with pytest.raises(SandboxError) as failed:
        await install("no-such-thing", report=told.append)
    assert "hunter2" not in "\n".join([*told, str(failed.value)])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-r x.txt",
        "--index-url=http://x",
        "./x",
        "/x.whl",
        "a b",
        "x @ http://x/x.whl",
        "x @ file:///x",
        "git+ssh://x",
    ],
)
async def test_what_is_no_name_and_version_is_refused(install, tmp_path, text):
    with pytest.raises(SandboxError, match=r"`sandbox.packages`.*'numpy'"):
        await install("little-one", text)
    assert not (tmp_path / "cache").exists()


async def test_without_an_installer_the_error_says_what_to_install(install, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SandboxError, match="neither uv on PATH nor pip"):
        await install("little-one")


async def test_a_cache_that_cannot_be_written_is_told(environ, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SandboxError, match="cannot be kept in"):
        await packages.environment(["little-one"], folder=tmp_path / "file" / "cache", environ=environ)


async def test_environments_that_nobody_used_lately_are_removed(install, tmp_path):
    old, used = await install("little-one"), await install("little-two")
    (tmp_path / "cache" / ".new-left").mkdir()
    for each in (old.path.parent / "environment.json", tmp_path / "cache" / ".new-left"):
        os.utime(each, (time.time() - 10 * 86_400,) * 2)
    gone = packages.remove(days=7, folder=tmp_path / "cache")
    assert gone.environments == 1
    assert gone.bytes > 100
    assert entries(tmp_path / "cache") == [used.path.parent.name]
    assert packages.remove(days=7, folder=tmp_path / "nowhere") == (0, 0)


async def test_an_environment_whose_note_was_spoiled_is_installed_anew(install):
    made = await install("little-two")
    for text in ("[", '{"modules": "os"}'):
        (made.path.parent / "environment.json").write_text(text, encoding="utf-8")
        assert await install("little-two") == made


@pytest.mark.parametrize("tier", ["namespaces", "bwrap", "landlock"])
async def test_programs_import_the_packages_and_cannot_change_them(installed, host, tmp_path, tier):
    await (await tiers.start(tier, tmp_path)).aclose()
    kept = {"packages": installed}
    sandbox = BwrapSandbox(**kept) if tier == "bwrap" else LinuxSandbox(tier, cache=tmp_path, **kept)
    session = await sandbox.open(Limits())
    code = "import little_one, little_two\nlittle_one.VERSION, little_one.__file__"
    outcome = await session.run(Program("ex_1", code), host)
    version, file = outcome.value
    refused = await session.run(Program("ex_2", f"open({file!r}, 'w')"), host)
    await session.aclose()
    await sandbox.aclose()
    assert version == "1.0"
    assert refused.error.type in ("PermissionError", "OSError")
    assert (installed.path / "little_one" / "__init__.py").read_text(encoding="utf-8") == "VERSION = '1.0'\n"


@pytest.mark.parametrize("tier", tiers.CPYTHON)
async def test_a_session_that_waits_has_imported_the_packages_ahead(installed, host, tmp_path, tier):
    await (await tiers.start(tier, tmp_path)).aclose()
    kinds = {"bwrap": BwrapSandbox, "unsafe-process": UnsafeProcess}
    more = {"folder": tmp_path} if tier in kinds else {"tier": tier, "cache": tmp_path}
    sandbox = kinds.get(tier, LinuxSandbox)(packages=installed, **more)
    loaded, pause = False, 0.05
    while not loaded and pause < 10:  # nothing tells of an import
        session = await sandbox.open(Limits())
        await anyio.sleep(pause)
        outcome = await session.run(Program("ex_1", "import sys\n'numpy' in sys.modules"), host)
        said = await session.run(Program("ex_2", "import numpy\nnumpy.say('hello')"), host)
        await session.aclose()
        loaded, pause = outcome.value, 2 * pause
    await sandbox.aclose()
    assert loaded
    # What it printed then is nobody's output, and the stream that it keeps is the one that programs write to.
    assert (outcome.stdout, said.stdout) == ("", "hello\n")


@pytest.mark.parametrize("tier", ["namespaces", "landlock"])
async def test_no_two_sessions_draw_the_same_random_numbers(installed, host, tmp_path, tier):
    await (await tiers.start(tier, tmp_path)).aclose()
    sandbox = LinuxSandbox(tier, packages=installed, cache=tmp_path)
    drawn = []
    for _ in range(3):
        session = await sandbox.open(Limits())
        outcome = await session.run(
            Program("ex_1", "import numpy, random\nnumpy.random.state.hex(), random.random()"), host
        )
        await session.aclose()
        drawn += outcome.value
    await sandbox.aclose()
    assert len(set(drawn)) == 6
