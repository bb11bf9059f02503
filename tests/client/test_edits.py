"""Functions that a repair changes are put into the program by name."""

from __future__ import annotations

import pytest

from toolweft_client.edits import doubled, merged

PROGRAM = """import json

LIMIT = 3


def read(n):
    # keeps its comment
    return json.dumps(n)


def main(n):
    return read(n) * LIMIT


main(2)
"""


def value(program: str) -> object:
    *lines, last = program.strip().split("\n")
    names: dict[str, object] = {}
    exec("\n".join(lines), names)
    return eval(last, names)


def test_changed_function_replaces_the_one_of_its_name_and_all_else_stays():
    program = merged(PROGRAM, "def main(n):\n    return read(n + 1)\n")
    assert value(program) == "3"
    assert "# keeps its comment" in program
    assert "LIMIT = 3" in program
    assert "LIMIT\n" not in program


def test_new_function_and_import_are_there_before_they_are_needed():
    program = merged(
        PROGRAM, "import math\n\ndef twice(n):\n    return math.ceil(n) * 2\n\ndef main(n):\n    return twice(n)"
    )
    assert value(program) == 4


def test_other_lines_replace_all_lines_outside_functions():
    program = merged(PROGRAM, "LIMIT = 1\nmain(5)")
    assert value(program) == "5"
    assert "LIMIT = 3" not in program


def test_whole_program_is_a_legal_reply():
    whole = "def other():\n    return 9\n\nother()\n"
    assert merged(PROGRAM, whole) == whole


@pytest.mark.parametrize("broken", ["def f(:", "\0"])
def test_what_does_not_parse_is_passed_on_to_the_check(broken):
    assert merged(PROGRAM, broken) == broken
    assert merged(broken, PROGRAM) == PROGRAM


ONCE = "a = mail.send(to='Ada')\nmail.send(to='Bob')\n"


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        (ONCE, []),
        (ONCE.replace("Bob", "Eve"), []),
        (ONCE + "mail.send(to='Ada')", [3]),
        (ONCE + "for each in range(2):\n    mail.send(to='Bob')", [4]),
        ("mail.send(", []),
    ],
    ids=["as it was", "another one", "once more", "once more in a loop", "no program"],
)
def test_a_call_that_is_there_once_more_is_named(changed, lines):
    assert [use.line for use in doubled(ONCE, changed)] == lines


def test_a_program_without_statements_is_replaced_and_a_line_of_two_statements_stays_one():
    reply = "def f():\n    return 1"
    assert merged("# nothing yet\n", reply) == reply
    changed = merged("def f():\n    return 0\n\n\na = shop.order(n=1); b = f()\n", reply)
    assert changed.count("shop.order") == 1
