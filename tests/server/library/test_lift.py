"""What a function knows of its task becomes a parameter; what cannot become one is a reason to leave the function."""

import ast

import pytest

from toolweft_server.errors import LibraryError
from toolweft_server.library.extract import extract
from toolweft_server.library.lift import lift


def lifted(program, task, **more):
    (found,) = extract(program, servers=["shop"]).functions
    return lift(found, task, **more)


def body(program, task, **more):
    return lifted(program, task, **more).found.source


def test_literals_of_the_task_become_parameters_that_must_be_given_by_name():
    program = """
def open_orders():
    rows = shop.list_orders(customer="Ada", limit=20)
    return [each["id"] for each in rows if each["status"] == "shipped"][:7]
"""
    found, given = lifted(program, "The first 7 shipped orders of Ada, please")
    assert found.source == (
        "def open_orders(*, customer: str, status: str, limit: int):\n"
        "    rows = shop.list_orders(customer=customer, limit=20)\n"
        "    return [each['id'] for each in rows if each['status'] == status][:limit]\n"
    )
    assert given == {"customer": "Ada", "status": "shipped", "limit": 7}


def test_without_a_task_and_without_its_values_the_text_stays_as_it_is():
    program = "def f(who):  # kept\n    return shop.list_orders(customer=who)\n"
    assert body(program, None) == body(program, "orders of Ada") == program


@pytest.mark.parametrize(
    ("program", "signature"),
    [
        ('WHO = "Ada"\ndef f(n):\n    return shop.orders(WHO, n)', "f(n, *, who: str)"),
        ('def f(who="Ada", n=3):\n    return shop.orders(who, n)', "f(n=3, *, who)"),
        ('def f(*, who: str="Ada"):\n    return shop.orders(who)', "f(*, who: str)"),
        ('def f(customer):\n    return shop.orders(customer, customer="Ada")', "f(customer, *, customer_2: str)"),
        ('def f():\n    return shop.orders("Ada") + shop.bills("Ada")', "f(*, value: str)"),
        ("def f():\n    return [shop.orders(x) for x in range(45)]", "f(*, value: int)"),
    ],
)
def test_constants_and_defaults_of_the_task_are_lifted_too(program, signature):
    source = body(program, "the 45 orders of Ada")
    node = ast.parse(source).body[-1]
    assert f"{node.name}({ast.unparse(node.args)})" == signature
    assert "Ada" not in source
    assert "45" not in source


def test_keys_separators_and_listed_values_are_the_tools_language():
    program = "def f(x):\n    return shop.orders(sort='date', x=x['order'], y=x.get('order'), z='order, '.join(x))"
    assert lifted(program, "order by date", known={"date"}).given == {}


@pytest.mark.parametrize("task", [None, "What was ordered in May?"])
def test_addresses_are_lifted_and_forgotten_whatever_the_task_says(task):
    program = (
        'def f(w):\n    """Orders of ada@x.org, and bob@y.co.uk."""\n    # asked by eve@z.net\n'
        '    return shop.orders(customer="ada@x.org", matrix=w@w.T)'
    )
    found, given = lifted(program, task)
    assert found.source == (
        'def f(w, *, customer: str):\n    """Orders of `customer`, and …."""\n'
        "    return shop.orders(customer=customer, matrix=w @ w.T)\n"
    )
    assert given == {"customer": "ada@x.org"}
    assert (
        body(program.replace("ada@x.org", "help@shop.org"), task, known={"help@shop.org"}).count("help@shop.org") == 2
    )


@pytest.mark.parametrize(
    "code", ['f"to ada@x.org: {x}"', '{"ada@x.org": x}', 'x["ada@x.org"]', 'x.get("Ada <ada@x.org>")']
)
def test_an_address_that_cannot_become_a_parameter_is_the_reason_to_leave_the_function(code):
    with pytest.raises(LibraryError, match=r"ada@x.org.*, somebody's address; make it a parameter"):
        lifted(f"def f(x):\n    return shop.orders({code})", None)


@pytest.mark.parametrize("text", [r"[\\w.]+@[\\w-]+\\.\\w+", "@channel", "name@host", "user@{host}.org"])
def test_what_only_looks_like_an_address_stays(text):
    program = f"def f(x):\n    return shop.orders({text!r}, x)\n"
    assert body(program, None) == program


def test_a_docstring_and_comments_forget_the_task():
    program = (
        'def f():\n    """Orders of ada@x.org in May."""\n    # for ada@x.org\n    return shop.orders("ada@x.org")'
    )
    source = body(program, "What did ada@x.org order?")
    assert source == 'def f(*, value: str):\n    """Orders of `value` in May."""\n    return shop.orders(value)\n'


@pytest.mark.parametrize(
    ("program", "left"),
    [
        ('def g(): return shop.orders("ada@x.org")\ndef f(): return g()', "ada@x.org"),
        ('def f(x):\n    return shop.orders(f"to ada@x.org: {x}")', "to ada@x.org: "),
        ('def f(x):\n    match x:\n        case "ada@x.org":\n            return shop.orders(1)', "ada@x.org"),
        ('def f(n):\n    return shop.orders("ada@x.org") if n else f(n - 1)', "calls itself"),
    ],
)
def test_a_value_of_the_task_that_remains_is_the_reason_to_leave_it(program, left):
    found = extract(program, servers=["shop"]).functions[-1]
    with pytest.raises(LibraryError, match=left):
        lift(found, "What did ada@x.org order?")
