"""How a program is made ready for Monty, and what is said where Monty is not installed."""

import subprocess
import sys

from toolweft_server.sandbox.monty.script import prepare


def test_without_the_package_the_error_names_the_extra():
    code = (
        "import sys, anyio\nsys.modules['pydantic_monty'] = None\n"
        "from toolweft_server.sandbox.backends.monty import MontySandbox\n"
        "from toolweft_server.sandbox.limits import Limits\nanyio.run(MontySandbox().open, Limits())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert "pip install 'toolweft[monty]'" in done.stderr


def test_lines_keep_their_numbers():
    code = (
        "from tools import (\n    box,\n    ToolError as E,\n); x = 1\nimport json, tools.box as t\nt.echo(\n    x\n)\n"
    )
    text = prepare(code).text
    assert text.count("\n") == code.count("\n")
    assert text.split("\n")[5].startswith("(_ := ((await t.echo(")


def test_name_that_is_something_else_too_is_left_alone():
    code = "def f(box):\n    return box.pop()\nbox.pop()"
    assert "await" not in prepare(code, servers=("box",)).text
