"""A repair keeps the asserts of its program, and lets them do their work."""

from __future__ import annotations

import pytest

from toolweft_client.asserts import weakened

OLD = "def f(rows, who):\n    assert rows, 'none'\n    assert all(r['name'] == who for r in rows) and len(rows) < 9\n"
KEPT = {
    "the same": OLD,
    "another message": OLD.replace("'none'", "f'none of {who}'"),
    "another key of the result": OLD.replace("r['name']", "r['customer']"),
    "one more": OLD + "    assert who\n",
    "taken apart": OLD.replace(" and len", "\n    assert len"),
    "moved": "def g(rows, who):\n    pass\n" + OLD,
}
LOST = {
    "dropped": OLD.replace("    assert rows, 'none'\n", ""),
    "always true": OLD.replace("assert rows,", "assert True,"),
    "another operator": OLD.replace("==", "!="),
    "another bound": OLD.replace("< 9", "< 99"),
    "one of two": OLD.replace(" and len(rows) < 9", ""),
    "or": OLD.replace(" and ", " or "),
}


@pytest.mark.parametrize("program", KEPT.values(), ids=KEPT)
def test_assert_may_be_kept_and_sharpened(program):
    assert weakened(OLD, program) == []


@pytest.mark.parametrize("program", LOST.values(), ids=LOST)
def test_assert_that_is_dropped_or_weakened_is_named(program):
    assert weakened(OLD, program)


def test_assert_that_cannot_be_computed_may_change():
    assert weakened(OLD, LOST["always true"], broken=2) == []
    assert weakened(OLD, LOST["always true"], broken=3) == ["rows"]


CHECKED = """def check(rows):
    assert rows, "none"
    return rows


def main(customer):
    for each in customer:
        rows = shop.list_orders(customer=each)
        check(rows)
        assert len(rows) < 9
    return rows


main(["Ada"])
"""
DEMAND, CALL, RUN = '    assert rows, "none"\n', "        check(rows)\n", 'main(["Ada"])'


def within(head: str, line: str, tail: str = "") -> str:
    """`line` one level deeper, below `head` and above `tail`."""
    indent = line[: len(line) - len(line.lstrip())]
    parts = [indent + head, f"    {line.rstrip()}", *(indent + each for each in tail.split("\n") if each)]
    return "\n".join(parts) + "\n"


def swallowed(line: str, kind: str) -> str:
    return within("try:", line, f"except {kind}:\n    pass")


AROUND = {
    "try of its kind": (DEMAND, swallowed(DEMAND, "AssertionError")),
    "try of all": (DEMAND, swallowed(DEMAND, "Exception as error")),
    "bare try": (DEMAND, swallowed(DEMAND, "").replace("except :", "except:")),
    "try of several": (DEMAND, swallowed(DEMAND, "(KeyError, AssertionError)")),
    "try of what nobody knows": (DEMAND, swallowed(DEMAND, "PASSING")),
    "try that leaves before it raises": (DEMAND, within("try:", DEMAND, "except:\n    return 1\n    raise")),
    "try that leaves at its end": (DEMAND, within("try:", DEMAND, "finally:\n    return rows")),
    "suppressed": (DEMAND, within("with contextlib.suppress(AssertionError):", DEMAND)),
    "if": (DEMAND, within("if False:", DEMAND)),
    "other branch": (DEMAND, within("if rows:\n        pass\n    else:", DEMAND)),
    "while": (DEMAND, within("while rows:", DEMAND)),
    "case": (DEMAND, "    match rows:\n        case [_]:\n            assert rows\n"),
    "after a try": (DEMAND, within("try:\n        1\n    except KeyError:\n        2\n    else:", DEMAND)),
    "in a handler": (DEMAND, "    try:\n        rows[0]\n    except IndexError:\n        assert rows\n"),
    "after return": (DEMAND, f"    return rows\n{DEMAND}"),
    "after raise": (DEMAND, f"    raise ValueError(rows)\n{DEMAND}"),
    "after two that leave": (DEMAND, f"    if rows:\n        return 1\n    else:\n        return 2\n{DEMAND}"),
    "after continue": ("        assert len(rows) < 9", "        continue\n        assert len(rows) < 9"),
    "with its function": (f'def check(rows):\n{DEMAND}    return rows\n\n\n', ""),
    "call is gone": (CALL, ""),
    "call in a try": (CALL, swallowed(CALL, "AssertionError")),
    "call in an if": (CALL, within("if rows:", CALL)),
    "call in an expression": (CALL, "        rows and check(rows)\n"),
    "call in a condition": (CALL, "        check(rows) if rows else None\n"),
    "call in some rounds": (CALL, "        [check(rows) for each in rows if each]\n"),
    "whole program in a try": (RUN, f"try:\n    {RUN}\nexcept Exception as error:\n    str(error)"),
}  # fmt: skip
THROUGH = {
    "loop": (DEMAND, within("for row in [rows]:", DEMAND)),
    "with": (DEMAND, within("with shop.opened():", DEMAND)),
    "try of another kind": (DEMAND, swallowed(DEMAND, "(KeyError, ToolError, json.JSONDecodeError)")),
    "try that raises again": (DEMAND, within("try:", DEMAND, "except Exception:\n    print(rows)\n    raise")),
    "return elsewhere": (DEMAND, f"{DEMAND}    if len(rows) > 3:\n        return rows[:3]\n"),
    "function of another name": ("check(rows)", "demand(rows)"),
    "no function of its own": (CALL, "        assert rows\n"),
    "all at once": (CALL, "        parallel(check, [rows])\n"),
    "once, after the loop": ("        assert len(rows) < 9\n", "    assert len(rows) < 9\n"),
}


@pytest.mark.parametrize(("text", "instead"), AROUND.values(), ids=AROUND)
def test_assert_that_is_not_come_to_or_does_not_end_the_program_is_named(text, instead):
    assert CHECKED.count(text) == 1
    assert weakened(CHECKED, CHECKED.replace(text, instead))


@pytest.mark.parametrize(("text", "instead"), THROUGH.values(), ids=THROUGH)
def test_assert_that_does_its_work_may_stand_elsewhere(text, instead):
    assert text in CHECKED
    assert weakened(CHECKED, CHECKED.replace(text, instead)) == []


GUARDED = "if rows:\n    for row in rows:\n        assert row['id'] == 7\n"


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        (GUARDED, True),
        ("for row in rows:\n    assert row['order_id'] == 7\n", True),
        (GUARDED.replace("if rows", "if rows[3:]"), False),
        (GUARDED.replace("if rows", "if not rows"), False),
        (GUARDED.replace("        assert", "        if row:\n            assert"), False),
    ],
    ids=["the same", "condition gone", "another condition", "the contrary", "one more"],
)
def test_condition_of_an_assert_may_go_and_not_change(changed, kept):
    assert (weakened(GUARDED, changed) == []) is kept


def test_of_two_that_are_alike_both_have_to_stay():
    both = "assert rows\nif more:\n    assert rows\n"
    assert weakened(both, both) == []
    assert weakened(both, "if more:\n    assert rows\n") == ["rows"]
    assert weakened(both, "if more:\n    assert rows\n    assert rows\n") == ["rows"]


def test_assert_that_was_never_come_to_may_go_and_a_deep_program_is_read():
    assert weakened("def f():\n    return 1\n    assert rows\nf()\n", "1\n") == []
    deep = " + ".join(["rows"] * 800)
    assert weakened(f"assert rows\n{deep}\n", f"{deep}\n") == ["rows"]
