"""Runs cases in a plain interpreter, each in a fork of its own and an empty work directory, and prints what they gave.

`python -I -X utf8 plain_interpreter.py FOLDER CASE…` prints `{stem: {"output", "value", "repr", "error"}}` as JSON.
One interpreter for all cases, because starting it costs more than running most of them.
"""

import ast
import asyncio
import inspect
import json
import os
import sys
import traceback
import types
from pathlib import Path


def value_of(path):
    """Executes the file as `__main__`; its value is that of its last expression."""
    source = path.read_text(encoding="utf-8")
    main = types.ModuleType("__main__")
    main.__file__ = str(path)
    sys.modules["__main__"] = main
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(source, str(path), "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body[-1]
        tree.body[-1] = ast.copy_location(ast.Assign([ast.Name("_value", ast.Store())], last.value), last)
        ast.fix_missing_locations(tree)
    code = compile(tree, str(path), "exec", flags, dont_inherit=True)
    result = eval(code, main.__dict__)
    if inspect.iscoroutine(result):
        asyncio.run(result)
    return main.__dict__.get("_value")


def told(path):
    try:
        value = value_of(path)
    except SystemExit as error:
        return {"error": repr(error)} if error.code else {}
    except BaseException:  # noqa: BLE001  (whatever a case raises is told)
        return {"error": traceback.format_exc(limit=-5)}
    try:
        return {"value": json.loads(json.dumps(value, allow_nan=False))}
    except (TypeError, ValueError):
        return {"repr": repr(value)}


def in_a_fork(path, folder):
    work, output, answer = folder / path.stem, folder / f"{path.stem}.output", folder / f"{path.stem}.told"
    work.mkdir()
    child = os.fork()
    if child == 0:
        os.chdir(work)
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), 1)
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
        answer.write_text(json.dumps(told(path)), encoding="utf-8")
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
    nothing = {"output": output.read_bytes().decode("utf-8"), "value": None, "repr": None, "error": None}
    return nothing | json.loads(answer.read_text(encoding="utf-8"))


if __name__ == "__main__":
    given = [Path(name) for name in sys.argv[2:]]
    print(json.dumps({path.stem: in_a_fork(path, Path(sys.argv[1])) for path in given}))
