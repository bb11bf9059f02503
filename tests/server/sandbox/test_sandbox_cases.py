"""Each program in `tests/sandbox_cases` gives the same value and output in a plain interpreter and in the sandbox."""

import json
import sys
from pathlib import Path

import anyio
import pytest

CASES = sorted((Path(__file__).parents[2] / "sandbox_cases").glob("*.py"))

PLAIN = """
import ast, asyncio, json, linecache, sys, types
path = sys.argv[1]
source = open(path, encoding="utf-8").read()
main = types.ModuleType("__main__")
sys.modules["__main__"] = main
tree = compile(source, path, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
if tree.body and isinstance(tree.body[-1], ast.Expr):
    tree.body[-1] = ast.copy_location(ast.Assign([ast.Name("_value", ast.Store())], tree.body[-1].value), tree.body[-1])
    ast.fix_missing_locations(tree)
code = compile(tree, path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
result = eval(code, main.__dict__)
if asyncio.iscoroutine(result):
    asyncio.run(result)
value = main.__dict__.get("_value")
try:
    text = json.dumps(value)
except TypeError:
    text = json.dumps({"repr": repr(value)})
print("\\x00" + text)
"""


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
async def test_program_gives_the_same_as_in_a_plain_interpreter(case, run, tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    done = await anyio.run_process(
        [sys.executable, "-I", "-X", "utf8", "-c", PLAIN, str(case)], cwd=folder, check=False
    )
    output, _, told = done.stdout.decode().partition("\x00")
    outcome = await run(case.read_text(encoding="utf-8"))
    assert outcome.status == "ok", outcome.error
    assert outcome.stdout == output
    assert done.returncode == 0, done.stderr
    value = {"repr": outcome.value_repr} if outcome.value_repr is not None else outcome.value
    assert value == (json.loads(told) if told else None)
