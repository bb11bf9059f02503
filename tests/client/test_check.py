"""The check: what it sees in a program, and what it leaves alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_catalog.wire import FoundTool
from toolweft_client.calls import called
from toolweft_client.fixes import certain
from toolweft_client.reply import syntax_error
from toolweft_client.signature import of_line, shape_known
from toolweft_client.stages.check import find_problems


def found(*calls: str) -> dict[str, FoundTool]:
    ids = [call.split("(")[0].removeprefix("tools.") for call in calls]
    return {
        id_: FoundTool(id=id_, call=call, summary="", origin="mcp", score=1, why=["name"])
        for id_, call in zip(ids, calls, strict=True)
    }


TOOLS = found(
    "shop.list_orders(customer: str, limit: int = 10) -> list[dict]",
    "shop.cancel(order_id: int, *, reason: str = …) -> str",
    "tools.time.now(zone: str) -> str",
    "jira.create_ticket(title: str, …)",
    "functions.early(customer: str) -> list",
)

FINE = [
    "shop.list_orders('Ada')",
    "tools.shop.list_orders(customer='Ada', limit=3)",
    "from tools.shop import list_orders as orders\norders(customer='Ada')",
    "from tools import shop as s\ns.list_orders(customer='Ada')",
    "import tools\ntools.shop.cancel(order_id=1, reason='late')",
    "import tools.shop as s\ns.cancel(1)",
    "parallel(shop.cancel, [1, 2])",
    "shop.list_orders(**{'customer': 'Ada'})",
    "jira.create_ticket(title='x', priority=3)",
    "tools.time.now(zone='UTC')",
    "import time\ntime.sleep(1)",
    "text = 'a'\ntext.upper()",
    "def f(order):\n    return order.date()",
    "[each.id for each in shop.list_orders('Ada')]",
    "try:\n    pass\nexcept ToolError as error:\n    error.args",
    "functions.early(customer='Ada')",
    "from functions import early\nearly(customer='Ada')",
    "functions.save(print)",
    "match 1:\n    case x:\n        x.real",
    "json.dumps(1)",
    "(lambda a: a.b())(1)",
    "getattr(tools, 'x')",
]

WRONG = {
    "shop.list_order(customer='Ada')": "there is no tool shop.list_order; nearest: shop.list_orders",
    "tools.github.cancel(1)": "there is no tool github.cancel; nearest: shop.cancel",
    "from tools.shop import cancle\ncancle(1)": "there is no tool shop.cancle; nearest: shop.cancel",
    "parallel(shop.canceled, [1])": "there is no tool shop.canceled",
    "functions.late(customer='Ada')": "there is no tool functions.late; nearest: functions.early",
    "shop.list_orders(client='Ada')": "shop.list_orders has no argument 'client'; it takes: customer, limit",
    "shop.list_orders(customer='Ada', limits=1)": "nearest: limit; it takes",
    "shop.cancel()": "shop.cancel needs order_id",
    "jira.create_ticket(priority=3)": "jira.create_ticket needs title",
    "shop.list_orders(customer=tools.nobody.name())": "there is no tool nobody.name",
    "shop.find().items": "there is no tool shop.find",
}


@pytest.mark.parametrize("program", FINE)
def test_program_that_uses_what_exists_has_no_problems(program):
    assert find_problems(program, TOOLS) == ()


@pytest.mark.parametrize("program", WRONG)
def test_problem_is_named_with_what_is_nearest(program):
    assert WRONG[program] in " ".join(each.message for each in find_problems(program, TOOLS))


def test_full_stub_knows_arguments_that_the_line_leaves_out():
    stub = "class T(TypedDict):\n    id: int\n\ndef create_ticket(title: str, *, priority: int = ...) -> T:\n    ..."
    program = "jira.create_ticket(title='x', color='red')"
    assert find_problems(program, TOOLS) == ()
    (problem,) = find_problems(program, TOOLS, {"jira.create_ticket": stub})
    assert "has no argument 'color'" in problem.message


def test_problem_says_its_line():
    (problem,) = find_problems("x = 1\n\nshop.cancel()", TOOLS)
    assert (problem.line, problem.kind, problem.name) == (3, "missing_argument", "shop.cancel")


def test_called_tools_come_in_the_order_of_the_program():
    program = "shop.cancel(1)\nfor x in shop.list_orders('a'):\n    shop.cancel(x)\nnobody.x()"
    assert called(program, TOOLS) == ("shop.cancel", "shop.list_orders")


@pytest.mark.parametrize(
    ("line", "names", "complete"),
    [
        ("a.b()", (), True),
        ("a.b(…)", (), False),
        ("a.b(x, …)", ("x",), False),
        ("a.b(x: str = …, *, y: list[str] = …) -> dict[str, int]", ("x", "y"), True),
        ("a.b(x: str, **extra: Any) -> None", ("x",), False),
        ('a.b(x: Literal["…", "b"]) -> None', ("x",), True),
    ],
)
def test_arguments_are_read_from_a_line_however_it_was_cut(line, names, complete):
    known = of_line(line)
    assert known is not None
    assert (known.names, known.complete) == (names, complete)


@pytest.mark.parametrize(
    "line", ["", "a.b", "a.b(", "a.b(x y)", "a.b(x: 'unclosed)", "a.b(\x00)", "): pass\nimport os #("]
)
def test_line_that_cannot_be_read_hides_no_program(line):
    tools = {"a.b": FoundTool(id="a.b", call=line, summary="", origin="mcp", score=1, why=[])}
    assert find_problems("a.b(x=1)", tools) == ()


def test_code_that_python_cannot_take_is_a_syntax_error_and_no_crash():
    for code in ("def f(:", "\x00", "(" * 5_000, "-" * 100_000 + "1"):
        assert syntax_error(code)


@settings(derandomize=True, max_examples=80, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_either_refused_or_checked(code):
    if syntax_error(code) is None:
        find_problems(code, TOOLS)


TYPED = found(
    "a.make(name: str, count: int = 1, tags: list[str] | None = None, *, kind: Literal['big', 'small'] = 'big')",
    "a.measure(value: float, deep: bool = False, extra: dict[str, Any] = …) -> dict",
    "a.any(x: Any, y: Thing) -> str",
)
FITS = [
    "a.make('x', 2, ['t'], kind='small')", "a.make(name=f'{1}', tags=None)", "a.measure(value=1)",
    "a.measure(-1.5, True)", "a.measure(value=read(), extra={'a': 1})", "a.any(x=1, y='z')",
    "a.make(name=other, count=len(other))",
]  # fmt: skip
MISFITS = {
    "a.make(name=['x'])": "a.make takes str as name, not list",
    "a.make('x', count='many')": "takes int as count, not 'many'",
    "a.make('x', count=1.5)": "takes int as count, not 1.5",
    "a.make('x', count=True)": "takes int as count, not True",
    "a.make('x', tags='t')": "takes None or list as tags, not 't'",
    "a.make('x', kind='huge')": "takes 'big' or 'small' as kind, not 'huge'",
    "a.make(None)": "takes str as name, not None",
    "a.measure(value=-1, deep='perhaps')": "takes bool as deep",
    "a.measure(1, extra=[1])": "takes dict as extra, not list",
    "a.make('x', name='y')": "is given name twice",
    "a.make(1, 2, 3, 4, 5)": "takes 4 arguments, not 5",
}


@pytest.mark.parametrize("program", FITS)
def test_literals_of_the_right_type_pass(program):
    assert find_problems(program, TYPED) == ()


@pytest.mark.parametrize("program", MISFITS)
def test_literal_of_a_wrong_type_is_named_with_what_is_taken(program):
    assert MISFITS[program] in " ".join(each.message for each in find_problems(program, TYPED))


MENDED = {
    "shop.listOrders(Customer='Ada')": "shop.list_orders(customer='Ada')",
    "x = tools.Shop.list_orders('Ä', limit='3')": "x = tools.shop.list_orders('Ä', limit=3)",
    "'Ä'; shop.list_orders(customer=7)": "'Ä'; shop.list_orders(customer='7')",
    "a.make('x', kind='Small')": "a.make('x', kind='small')",
    "a.measure('1.5', deep='true')": "a.measure(1.5, deep=True)",
    "parallel(shop.Cancel, [1])": "parallel(shop.cancel, [1])",
}
LEFT = [
    "github.list_orders(customer='Ada')",  # the right action of another server
    "shop.list_orders(customer='Ada', limit='03')",
    "shop.list_orders(customer='Ada', limit='many')",
    "from tools.shop import listOrders as x\nx(customer='Ada')",
    "shop.list_orders(customer='Ada', Customer='Bob')",
    "a.make('x', kind='medium')",
]


@pytest.mark.parametrize("program", MENDED)
def test_slip_with_one_mending_is_mended(program):
    assert certain(program, TOOLS | TYPED, {})[0] == MENDED[program]
    assert find_problems(MENDED[program], TOOLS | TYPED) == ()


@pytest.mark.parametrize("program", LEFT)
def test_slip_that_leaves_a_choice_is_left_to_the_model(program):
    assert certain(program, TOOLS | TYPED, {}) == (program, ())
    assert find_problems(program, TOOLS | TYPED)


def test_what_was_mended_is_told():
    assert certain("shop.listOrders(customer='Ada')", TOOLS, {})[1] == ("shop.listOrders is shop.list_orders",)


@settings(derandomize=True, max_examples=80, deadline=None)
@given(st.sampled_from([*FINE, *FITS]))
def test_program_without_a_slip_is_left_alone(program):
    assert certain(program, TOOLS | TYPED, {}) == (program, ())


@pytest.mark.parametrize(
    ("annotation", "known"),
    [
        ("str", True), ("int | None", True), ("list[str]", True), ("{'item': str, 'left': {'oslo': int}}", True),
        ("list[Order]", True), ("Any", False), ("dict", False), ("list[dict]", False), ("dict[str, Any]", False),
        ("list[dict[str, Any]]", False), ("{'rows': list}", False), ("dict[str, int]", True),
    ],
)  # fmt: skip
def test_shape_of_a_result_is_known_when_its_annotation_says_what_is_in_it(annotation, known):
    assert shape_known(f"a.b(x: int) -> {annotation}", "", "a.b") is known
    assert shape_known("a.b(x: int)", f"def b(x: int) -> {annotation}:\n    ...", "a.b") is known
    assert not shape_known("a.b(x: int)", "", "a.b")
