"""Every promise has its tests, and they exist."""

import ast
import runpy
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CLAIMS = runpy.run_path(str(TESTS / "claims.py"))["CLAIMS"]


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_is_held_by_tests_that_exist(claim):
    assert claim.endswith(".")
    assert CLAIMS[claim]
    for name in CLAIMS[claim]:
        file, _, test = name.partition("::")
        if file.startswith("benchmarks/"):
            assert (TESTS.parent / file).is_file(), name
        else:
            assert test in named_in(TESTS / file), name


def named_in(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {each.name for each in tree.body if isinstance(each, kinds) and each.name.startswith("test_")}


def test_there_are_few_enough_claims_to_be_read():
    assert len(CLAIMS) <= 80
