"""When one function is an instance of another, and when it only looks so."""

import pytest

from toolweft_server.library.alike import Argument, arguments, fit

GENERAL = '''
import re

def shortened(text):
    return re.sub("x", "", text)

def spent(who: str, most: int = 10, key="total") -> list:
    """What somebody spent."""
    try:
        rows = shop.list_orders(customer=who, limit=most)
    except ToolError as error:
        raise ValueError(shortened(str(error)))
    return [row[key] for row in rows if row[key] > 0]
'''


def of(special, general=GENERAL, name="cost"):
    return fit(general, "spent", special, name)


SAME = (
    GENERAL.replace("spent", "cost")
    .replace("What somebody cost", "Other words")
    .replace("shortened", "cut")
    .replace("who", "client")
    .replace("rows", "found")
    .replace("error", "failure")
)


def test_the_same_code_under_other_names_is_an_instance():
    assert of(SAME) == {
        "who": Argument("parameter", "client"), "most": Argument("parameter", "most"),
        "key": Argument("parameter", "key"),
    }  # fmt: skip


def test_a_literal_where_the_other_has_a_parameter_is_an_instance_and_its_calls_are_calls_of_the_other():
    special = SAME.replace(', most: int = 10, key="total"', "").replace("=most", "=-3").replace("[key]", "['total']")
    found = of(special)
    assert found == {
        "who": Argument("parameter", "client"), "most": Argument("literal", -3), "key": Argument("literal", "total"),
    }  # fmt: skip
    assert arguments(found, {"client": "Ada"}) == {"who": "Ada", "most": -3, "key": "total"}
    assert fit(special, "cost", GENERAL, "spent") is None


OTHERWISE = {
    "another literal": SAME.replace("> 0", "> 1"),
    "a literal of another type": SAME.replace("> 0", "> False"),
    "another operator": SAME.replace("> 0", ">= 0"),
    "another tool": SAME.replace("list_orders", "list_items"),
    "another module": SAME.replace("import re", "import regex as re"),
    "one literal more": SAME.replace("return [", "return [1] + ["),
    "two literals for one parameter": SAME.replace("[row[key]", "[row['a']").replace("if row[key]", "if row['b']"),
    "two names for one": SAME.replace("return [", "rest = found\n    return [").replace("in found", "in rest"),
    "one name for two": SAME.replace("limit=most", "limit=client"),
    "a parameter that is not looked at": SAME.replace("def cost(", "def cost(other, "),
    "a name from outside in place of its own": SAME.replace("for row in found", "for row in cut"),
    "async": SAME.replace("def cost", "async def cost"),
    "a name that was bound elsewhere": SAME.replace("shop.", "client."),
}


@pytest.mark.parametrize("case", OTHERWISE, ids=str)
def test_what_does_something_else_is_no_instance(case):
    assert OTHERWISE[case] != SAME
    assert of(OTHERWISE[case]) is None


def test_a_parameter_that_the_general_one_needs_and_the_instance_has_not_is_none():
    general = "def spent(who, unused):\n    return shop.list(who)"
    assert of("def cost(who):\n    return shop.list(who)", general) is None
    assert of("def cost(who):\n    return shop.list(who)", general.replace("unused", "unused=1")) is not None


LESS = "def less({}):\n    return x - n\n\n\ndef f(a: int, b: int):\n    return less(x=a, n=b)\n"


def test_functions_that_call_a_helper_by_other_names_are_not_the_same():
    assert fit(LESS.format("x, n"), "f", LESS.format("n, x").replace("x=a, n=b", "n=a, x=b"), "f") is None


def test_a_function_that_may_be_called_with_less_is_no_instance():
    general, special = "def g(a, n):\n    return a + n\n", "def h(a, n=10):\n    return a + n\n"
    assert fit(general, "g", special, "h") is None
    assert fit(special, "h", general, "g") is not None
