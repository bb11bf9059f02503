import contextlib
import dis
import inspect
import io


def plain(a, b=1, *rest, key, **more):
    return [a, b]


def produce():
    yield 1


async def later():
    return 1


out = io.StringIO()
with contextlib.redirect_stdout(out):
    dis.dis(plain)
instructions = list(dis.get_instructions(produce))
print(
    "RETURN_VALUE" in out.getvalue() or "RETURN" in out.getvalue(), any(i.opname == "YIELD_VALUE" for i in instructions)
)
code = plain.__code__
flags = [
    bool(f.__code__.co_flags & flag)
    for f, flag in ((produce, inspect.CO_GENERATOR), (later, inspect.CO_COROUTINE), (plain, inspect.CO_VARARGS))
]
lines = [line - code.co_firstlineno for _, _, line in code.co_lines() if line]
print(flags, max(lines), "Name:" in dis.code_info(plain))
[code.co_argcount, code.co_kwonlyargcount, code.co_varnames, produce.__code__.co_name, len(code.co_code) > 0]
