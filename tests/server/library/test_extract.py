"""A program's text becomes functions that stand alone; what cannot stand alone says why."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_server.library.extract import Rejected, extract

SERVERS = ("github", "git")


def names(program, **more):
    return [each.name for each in extract(program, servers=SERVERS, **more).functions]


def only(program, **more):
    found = extract(program, servers=SERVERS, **more)
    assert found.rejected == ()
    (function,) = found.functions
    return function


def reason(program, **more):
    found = extract(program, servers=SERVERS, **more)
    assert found.functions == ()
    ((_, why),) = found.rejected
    return why


@pytest.mark.parametrize(
    ("body", "tools"),
    [
        ("return tools.github.get(id=1)", ("github.get",)),
        ("return github.get(id=1)", ("github.get",)),
        ("return parallel(github.get, [1, 2])", ("github.get",)),
        ("from tools.github import get as fetch\n    return fetch(1)", ("github.get",)),
        ("from tools import github as g\n    return g.get(1)", ("github.get",)),
        ("import tools.github as g\n    return g.get(1)", ("github.get",)),
        ("g = tools.github\n    return g.get(1), g.put(2)", ("github.get", "github.put")),
        ("return [git.log(x) for x in github.all()]", ("git.log", "github.all")),
        ("def inner():\n        return git.log()\n    return inner()", ("git.log",)),
    ],
)
def test_every_way_to_name_a_tool_is_seen(body, tools):
    assert only(f"def f():\n    {body}\n").tools == tools


@pytest.mark.parametrize(
    ("body", "tools"),
    [
        ("g = h = tools.github\n    return h.put(g.get(1))", ("github.get", "github.put")),
        ("if x:\n        if x:\n            g = github\n    h = g\n    return h.get(1)", ("github.get",)),
        ("g = github\n    if x:\n        g = git\n    return g.log(1)", ("git.log", "github.log")),
        ("t = tools\n    return t.git.log(1)", ("git.log",)),
        ("log = git.log\n    log = log.later\n    return log(1)", ("git.log",)),
        ("try:\n        return git.log()\n    except tools.ToolError:\n        return tools.Blob", ("git.log",)),
    ],
)
def test_other_names_for_a_server_are_followed(body, tools):
    assert only(f"def f(x):\n    {body}\n").tools == tools


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return getattr(tools.github, x)(1)", "line 2 passes 'tools.github' on"),
        ("return getattr(github, x)(1)", "call each as github.TOOL(…)"),
        ("return tools[x].get(1)", "line 2 passes 'tools' on"),
        ("return getattr(tools, x)", "call each as tools.SERVER.TOOL(…)"),
        ("return getattr(functions, x)(1)", "which saved functions it calls; call each as functions.NAME(…)"),
        ("y = git.log()\n    return [s.log() for s in (github, git)]", "line 3 passes 'tools.git"),
        ("(s := github)\n    return s.get(1)", "line 2 passes 'tools.github' on"),
        ("s = github\n    return s", "line 3 passes 'tools.github' on"),
        ("x.server = github", "line 2 passes 'tools.github' on"),
        ("return vars(tools.github)[x]()", "line 2 passes 'tools.github' on"),
        ("from tools import github as g\n    return helper(g)", "line 3 passes 'tools.github' on"),
        ("def inner(s=github):\n        return s.get(1)\n    return inner()", "line 2 passes 'tools.github' on"),
    ],
)
def test_a_function_whose_tools_cannot_be_read_is_left_with_the_reason(body, told):
    assert told in reason(f"def f(x):\n    {body}\n")


def test_a_helper_whose_tools_cannot_be_read_keeps_its_function_from_being_saved():
    program = "def pick(name):\n    return getattr(github, name)\ndef f(x):\n    return git.log(pick(x)())"
    found = extract(program, servers=SERVERS)
    assert [each.name for each in found.rejected] == ["pick", "f"]
    assert found.functions == ()


def test_a_function_that_only_calls_saved_functions_is_kept_with_their_names():
    assert only("from functions import b as c\ndef f():\n    return functions.a(1) + c(2)").functions == ("a", "b")


def test_a_function_that_uses_no_tool_is_kept_only_when_asked_for():
    program = "def add(a, b):\n    return a + b"
    assert names(program) == []
    assert only(program, save=["add"]).source == "def add(a, b):\n    return a + b\n"


def test_what_a_function_needs_comes_along_and_nothing_else():
    program = '''
import json, os
from math import (floor as down,
    ceil)
LIMIT: int = -3
OTHER = {"a": [1, 2]}
print("hello")

@staticmethod
def unused(): return os

class Box(dict):
    size = LIMIT

def helper(x):
    # a comment stays
    return Box(x=down(x))

def f(n=ceil(2)):
    """Says it."""
    return json.dumps(helper(git.log(n)))
'''
    assert (
        only(program).source
        == '''from math import ceil
from math import floor as down
import json


LIMIT = -3


class Box(dict):
    size = LIMIT


def helper(x):
    # a comment stays
    return Box(x=down(x))


def f(n=ceil(2)):
    """Says it."""
    return json.dumps(helper(git.log(n)))
'''
    )


def test_helpers_of_earlier_programs_of_the_session_come_along_and_the_latest_definition_counts():
    earlier = ["import re\ndef clean(s): return 1", "def clean(s): return re.sub('a', 'b', s)"]
    function = only("def f(): return clean(git.log())", earlier=earlier)
    assert function.source == (
        "import re\n\n\ndef clean(s): return re.sub('a', 'b', s)\n\n\ndef f(): return clean(git.log())\n"
    )
    assert names("1 + 1", earlier=["def g(): return git.log()"]) == []
    assert names("1 + 1", earlier=["def g(): return git.log()"], save=["g"]) == ["g"]


def test_functions_that_call_each_other_come_along_in_both_directions():
    program = "def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return git.log() and even(n - 1)"
    found = extract(program, servers=SERVERS)
    assert [each.name for each in found.functions] == ["even", "odd"]
    assert all(each.tools == ("git.log",) for each in found.functions)
    assert found.functions[0].source.index("def odd") < found.functions[0].source.index("def even")


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("x = git.status()\ndef f(): return git.log(x)", "it uses 'x', a value of this session; make it a parameter"),
        ("for x in [1]: pass\ndef f(): return git.log(x)", "it uses 'x', a value of this session"),
        ("with a() as (x, y): pass\ndef f(): return git.log(y)", "it uses 'y', a value of this session"),
        ("K = 1\nK = git.status()\ndef f(): return git.log(K)", "it uses 'K', a value of this session"),
        ("def f(): return git.log(nowhere)", "it uses 'nowhere', which the program does not define"),
        ("from os import *\ndef f(): return git.log(getcwd())", "`from os import *` hides where names come from"),
        ("n = 0\ndef f():\n    global n\n    n += 1\n    return git.log()", "it changes the global name 'n'"),
        ("h = lambda: 1\ndef f(): return git.log(h())", "it uses 'h', a value of this session"),
    ],
)  # fmt: skip
def test_what_cannot_come_along_is_the_reason_to_leave_it(program, why):
    assert why in reason(program)


def test_a_name_that_is_local_is_no_server_and_no_session_value():
    assert names("x = open\ndef f(github, x): return github.get(x)") == []


@pytest.mark.parametrize("name", ["main", "_private", "list", "tools", "functions", "parallel", "print"])
def test_a_private_or_reserved_name_is_passed_over_and_refused_when_asked_for(name):
    program = f"def {name}(): return tools.git.log()"
    assert names(program) == []
    assert extract(program, servers=SERVERS, save=[name]).rejected[0].name == name


def test_saving_what_is_not_there_says_so():
    assert reason("def f(): return 1", save=["g"]) == "the program defines no function of that name"


@pytest.mark.parametrize(
    "program", ["def f(:", "\0", "(" * 5000, "def f(): return " + "-" * 100_000 + "1", "x = '\ud800'"]
)
def test_a_program_that_cannot_be_read_gives_nothing_and_does_not_fail(program):
    assert extract(program).functions == ()
    assert [each.name for each in extract(program, save=["f"]).rejected] == ["f"]


def test_a_function_that_drags_along_too_much_is_left():
    assert "is the most" in reason(f"DATA = {'x' * 200_000!r}\ndef f(): return git.log(DATA)")


@given(st.text(alphabet="def f():\n return git.log(x)#=[]'\"", max_size=80))
@settings(derandomize=True, max_examples=150, deadline=None)
def test_no_text_makes_it_fail(text):
    found = extract(text, servers=SERVERS, save=["f"])
    assert all(isinstance(each, Rejected) for each in found.rejected)


def test_what_was_extracted_extracts_to_itself():
    program = "import re\nA = 1\ndef g(x): return re.escape(x)\ndef f(b=A): return g(git.log(b))"
    once = only(program)
    assert only(once.source, save=["f"]) == once
