"""Every defect of the released code has tests that fail on it, and has been seen to."""

import ast
import json
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import toolweft_server

HERE = Path(__file__).parent
SERVER = Path(toolweft_server.__file__).parent
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
@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_every_test_named_for_a_defect_fails_when_it_is_put_in(soak_runs):
    """Three of them; `make soak` puts in all, which takes minutes."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    chosen = {each.what: set(each.tests) for each in (DEFECTS if soak_runs > 10 else DEFECTS[::12])}
    done = subprocess.run(
        [sys.executable, HERE / "recreate.py", "--json", *chosen], capture_output=True, text=True, encoding="utf-8",
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    failed = json.loads(done.stdout.splitlines()[-1])
    assert {what: tests - set(failed[what]) for what, tests in chosen.items() if tests - set(failed[what])} == {}


# Two that are looked for in the text: where they come back, no other test need pass by.


@cache
def nodes():
    """File and node, of everything that the server's modules say."""
    paths = sorted(SERVER.rglob("*.py"))
    trees = [(path.relative_to(SERVER).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]
    return [(file, node) for file, tree in trees for node in ast.walk(tree)]


def test_no_option_reads_any_word_as_true():
    words = [(file, node.value) for file, node in nodes() if isinstance(node, ast.keyword) and node.arg == "type"]
    assert words
    assert not [file for file, value in words if isinstance(value, ast.Name) and value.id == "bool"]


def test_no_condition_holds_whatever_happens():
    conditions = [(file, each) for file, node in nodes() for each in asked(node)]
    assert conditions
    assert not [f"{file}:{each.lineno}" for file, each in conditions if certain(each)]


def asked(node):
    if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
        return [node.test]
    return node.ifs if isinstance(node, ast.comprehension) else []


def certain(condition):
    """`x == 0 or -1`: one side is a number, and true."""
    if not isinstance(condition, ast.BoolOp) or not isinstance(condition.op, ast.Or):
        return False
    sides = [each.operand if isinstance(each, ast.UnaryOp) else each for each in condition.values]
    return any(isinstance(each, ast.Constant) and each.value for each in sides)
