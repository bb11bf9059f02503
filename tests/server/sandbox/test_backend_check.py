"""The self-check shows what the backend can do, and says plainly what it does not do."""

import subprocess
import sys

import pytest
import pytest_asyncio

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.check_programs import PYTHON, WALLS
from toolweft_server.sandbox.self_check import EXPECTED

NAMES = {each.name for each in (*PYTHON, *WALLS)}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def checked(backend, tmp_path_factory):
    """What one check of the tier found, and the folder in which it kept what it needed meanwhile."""
    folder = tmp_path_factory.mktemp("check")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))
        # A loop that is interrupted on a machine under load takes its time to end.
        patch.setattr("toolweft_server.sandbox.run.INTERRUPT_GRACE", 2.0)
        return await backend.self_check(), folder


async def test_every_check_passes_in_every_tier_but_the_walls_where_there_are_none(backend, checked):
    findings, _ = checked
    failed = {finding.check: finding.detail for finding in findings if not finding.passed}
    if backend.name == "unsafe-process":
        walls = {each.name for each in WALLS}
        assert {"isolated", "no file of yours is read", "no port of this machine is reached"} <= set(failed)
        assert set(failed) <= walls | {"isolated"}
        assert failed["no process is forked"].startswith("not stopped: ")
    else:
        assert failed == {}


async def test_what_a_tier_leaves_open_is_told_with_its_reason(backend, checked):
    findings = {finding.check: finding for finding in checked[0]}
    assert len(findings) >= 45
    assert all(finding.area for finding in findings.values() if finding.check != "isolated")
    for name, reason in EXPECTED.get(backend.name, {}).items():
        assert (findings[name].ok, findings[name].expected) == (False, reason)


async def test_check_leaves_nothing_behind(checked):
    _, folder = checked
    assert [path for path in folder.iterdir() if path.name.startswith("toolweft-check-")] == []


async def test_tier_that_does_not_start_says_why_and_is_asked_nothing_more(tmp_path):
    from toolweft_server.sandbox.backends.local import UnsafeProcess
    from toolweft_server.sandbox.self_check import check

    findings = await check(UnsafeProcess(folder=tmp_path / "absent"))
    assert [(finding.check, finding.ok) for finding in findings] == [("it starts", False)]
    assert "no work directory could be made" in findings[0].detail


async def test_a_check_that_failed_among_others_is_tried_again_by_itself(tmp_path):
    from toolweft_server.sandbox.backends.local import UnsafeProcess
    from toolweft_server.sandbox.self_check import check

    class Busy(UnsafeProcess):
        opened = 0

        async def open(self, limits):
            self.opened += 1
            if self.opened in range(5, 10):
                raise SandboxError("no process to spare")
            return await super().open(limits)

    backend = Busy(folder=tmp_path)
    findings = [finding for finding in await check(backend) if not finding.ok]
    assert backend.opened > 10
    assert {finding.detail.partition(":")[0] for finding in findings} == {"not stopped"}


def test_exceptions_name_checks_that_there_are():
    assert {name for names in EXPECTED.values() for name in names} <= NAMES
    assert len(NAMES) == len(PYTHON) + len(WALLS) >= 45


def test_modules_import_where_unix_modules_are_missing():
    code = (
        "import sys\nfor name in ('resource', 'fcntl', 'pwd', 'grp'): sys.modules[name] = None\n"
        "import toolweft_server.sandbox.pool, toolweft_server.sandbox.self_check\n"
        "import toolweft_server.sandbox.backends.local, toolweft_server.sandbox.inside.main\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_runner_uses_the_standard_library_alone():
    code = "import sys\nimport toolweft_server.sandbox.inside.main as m\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8"
    ).stdout.split()
    roots = {name.partition(".")[0] for name in loaded if not name.startswith("_")}
    assert roots - sys.stdlib_module_names <= {"toolweft_server", "distutils-precedence", "setuptools"}


async def test_a_kernel_without_landlock_is_told_and_is_no_reason_against_a_file_tree(monkeypatch):
    linux = pytest.importorskip("toolweft_server.sandbox.backends.linux")
    monkeypatch.setattr("toolweft_server.sandbox.linux.landlock.version", lambda: 0)
    found = linux.second_wall()
    assert (found.ok, found.passed) == (False, True)
    assert "this kernel has no Landlock" in found.detail
