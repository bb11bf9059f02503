"""Every defect of the released code has tests that fail on it, and has been seen to."""

import ast
import json
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SERVER = HERE.parents[2] / "server" / "toolweft_server"
DEFECTS = runpy.run_path(str(HERE / "defects.py"))["DEFECTS"]


def test_all_seventeen_are_there_each_under_a_name_of_its_own():
    assert {each.number for each in DEFECTS} == set(range(1, 18))
    assert len({each.what for each in DEFECTS}) == len(DEFECTS)
    assert all(each.tests and each.patches for each in DEFECTS)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda each: each.what)
def test_a_defect_can_be_put_into_the_code_as_it_is_and_its_tests_exist(defect):
    for patch in defect.patches:
        assert source(patch.file).count(patch.ours) == 1, patch.ours
        compile(source(patch.file).replace(patch.ours, patch.theirs), patch.file, "exec")
    for name in defect.tests:
        file, _, test = name.partition("::")
        assert f"def {test}(" in (HERE.parent / file).read_text(encoding="utf-8"), name


def source(file):
    return (SERVER / file).read_text(encoding="utf-8")


@pytest.mark.torch
@pytest.mark.timeout(600)
def test_every_test_named_for_a_defect_fails_when_it_is_put_in():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    done = subprocess.run(
        [sys.executable, HERE / "recreate.py", "--json"], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    failed = json.loads(done.stdout.splitlines()[-1])
    unnoticed = {each.what: set(each.tests) - set(failed[each.what]) for each in DEFECTS}
    assert {what: tests for what, tests in unnoticed.items() if tests} == {}


# Two that are looked for in the text: wherever they come back, no other test may pass by there.


def places(found):
    """`file:line` of all nodes of the server's modules for which `found` holds."""
    return [
        f"{path.relative_to(SERVER)}:{node.lineno}"
        for path in sorted(SERVER.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if found(node)
    ]
