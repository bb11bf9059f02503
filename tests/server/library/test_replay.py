"""The texts of a replay: what they note, and what speaks against a function before it is run at all."""

import asyncio
import inspect

import pytest

from toolweft_server.library import replay
from toolweft_server.library.admit import draft
from toolweft_server.library.extract import Extracted
from toolweft_server.library.proof import Observed
from toolweft_server.scrub import Scrubber

PROGRAM = '''
from __future__ import annotations

def outer(a, *, b=[1], **more):
    """Doc."""
    def inner():
        return 1
    b.append(a)
    if a > 1:
        return {"a": a, 2: (b, inner())}

async def later(x):
    return x * 2

def items():
    yield 1

def other():
    return object()

results = [outer(1), outer(a=2, b=[5], z=True), outer(2, b=[5], z=True), list(items()), other()]
'''


def noted(program, *names):
    space = {}
    exec(replay.PRELUDE, space)
    exec(replay.noting(program, names), space)
    if "later" in space and inspect.iscoroutinefunction(space["later"]):
        asyncio.run(space["later"](4))
    return space, replay.observed(space[replay.NOTED])


def test_calls_are_noted_as_they_were_at_entry_and_the_program_does_what_it_did():
    space, calls = noted(PROGRAM, "outer", "later", "items")
    assert calls == [
        Observed("outer", {"a": 1, "b": [1]}, None),
        Observed("outer", {"a": 2, "b": [5], "z": True}, {"a": 2, "2": [[5, 2], 1]}),
        Observed("later", {"x": 4}, 8),
    ]
    assert space["results"][:4] == [None, {"a": 2, 2: ([5, 2], 1)}, {"a": 2, 2: ([5, 2], 1)}, [1]]


def test_a_result_that_json_cannot_carry_is_compared_by_its_type():
    assert noted(PROGRAM, "other")[1] == [Observed("other", {}, {"type": "object"})]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"name": "x"}, {"name": "x"}),
        ({"name": "x", "n": 3}, {"name": "x", "n": 4}),
        ({"n": 9}, {"n": 8}),
        ({"deep": True}, {"deep": False}),
        ({"name": "x", "limit": 7}, {"name": "x"}),
        ({"kind": "a"}, {"kind": "b"}),
    ],
)
def test_a_variation_changes_one_argument_and_makes_up_no_text(arguments, expected):
    properties = {"n": {"maximum": 9}, "limit": {"default": 10}, "kind": {"enum": ["a", "b"]}}
    assert replay.variation({"properties": properties}, [Observed("f", arguments, 1)]) == expected


def test_another_call_that_was_seen_is_the_best_variation():
    calls = [Observed("f", {"name": each}, 1) for each in "abc"]
    assert replay.variation({}, calls) == {"name": "c"}


def test_infinite_numbers_cannot_be_written_down():
    assert replay.callable_by_text({"a": [1.5, None, "x\n", {"b": True}]})
    assert not replay.callable_by_text({"a": float("inf")})


def test_a_parameter_that_nobody_reads_is_named():
    source = "def f(a, b, *, c):\n    return [a for _ in c]\n"
    function = draft(Extracted("f", source, (), ()), tools={}, functions={}, scrub=Scrubber())
    assert replay.unused(function) == ["b"]


@pytest.mark.parametrize(
    ("handler", "line"),
    [
        ("except Exception: return None", 3),
        ("except: pass", 3),
        ("except (KeyError, BaseException) as e: print(e)", 3),
        ("except ToolError: return []", None),
        ("except Exception as e: raise ValueError from e", None),
    ],
)
def test_a_handler_that_lets_everything_pass_is_found(handler, line):
    assert replay.swallows(f"def f():\n    try: g()\n    {handler}\n") == line


def test_suppressing_everything_is_the_same():
    assert replay.swallows("with contextlib.suppress(Exception): g()") == 1
    assert replay.swallows("with suppress(KeyError): g()") is None
