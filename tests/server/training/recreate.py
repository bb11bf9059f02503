"""Puts the defects of `defects.py` into a copy of the server, one at a time, and says which of their tests fail.

    python tests/server/training/recreate.py [WORDS …]     # those in whose description one of them stands, or all

Each is run by a process that was forked after the slow libraries were imported: a second each, not ten.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SERVER = ROOT / "server" / "toolweft_server"
MOST_MEMORY = 16 << 30
"""Bytes of address space: a defect that takes memory by the square must not take the machine with it."""


class Failed:
    """Notes the tests that fail, without their parameters."""

    def __init__(self) -> None:
        self.tests: set[str] = set()

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            self.tests.add(report.nodeid.partition("[")[0])


def main(words: Sequence[str] = (), *, told: bool = True) -> dict[str, list[str]]:
    """Description -> the tests that failed, as they are named in the table."""
    table = runpy.run_path(str(HERE / "defects.py"))["DEFECTS"]
    defects = [each for each in table if not words or any(word in each.what for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / SERVER.name
        shutil.copytree(SERVER, copy, ignore=shutil.ignore_patterns("weights"))
        sys.path.insert(0, folder)
        os.environ["PYTHONPATH"] = folder
        sys.dont_write_bytecode = True
        _import_what_is_slow()
        found = {}
        for each in defects:
            result = Path(folder) / "failed.json"
            result.unlink(missing_ok=True)
            before = {patch.file: (copy / patch.file).read_text(encoding="utf-8") for patch in each.patches}
            for patch in each.patches:
                path = copy / patch.file
                path.write_text(path.read_text(encoding="utf-8").replace(patch.ours, patch.theirs), encoding="utf-8")
            _in_a_fork(lambda tests=each.tests, result=result: _run(tests, result, told=told))
            for file, content in before.items():
                (copy / file).write_text(content, encoding="utf-8")
            found[each.what] = json.loads(result.read_text(encoding="utf-8")) if result.exists() else []
    return found


def _import_what_is_slow() -> None:
    import hypothesis  # noqa: F401
    import pytest  # noqa: F401
    import sqlalchemy  # noqa: F401
    import torch
    from transformers import GPT2LMHeadModel, LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: F401

    torch.set_num_threads(1)  # threads do not survive a fork


def _in_a_fork(work) -> None:
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001  nothing may go on in here as if it were the parent
            traceback.print_exc()
        os._exit(0)
    os.waitpid(child, 0)


def _run(tests: tuple[str, ...], result: Path, *, told: bool) -> None:
    import pytest

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    os.chdir(ROOT)
    if not told:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
    failed = Failed()
    named = [f"tests/server/{each}" for each in tests]
    late = "ignore::pytest.PytestAssertRewriteWarning"  # of what was imported before the fork
    how = ["-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", late]
    pytest.main([*how, *named], plugins=[failed])
    names = sorted(each.removeprefix("tests/server/") for each in failed.tests)
    result.write_text(json.dumps(names), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--json"]:
        print(json.dumps(main(sys.argv[2:], told=False)))
    else:
        for what, failed in main(sys.argv[1:]).items():
            print(f"{what}: {', '.join(failed) or 'NOBODY NOTICED'}")
