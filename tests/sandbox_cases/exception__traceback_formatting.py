import traceback


def inner(n):
    return 10 // n


def outer(n):
    return inner(n)


try:
    outer(0)
except ZeroDivisionError as error:
    frames = traceback.extract_tb(error.__traceback__)
    only = traceback.format_exception_only(error)
    summary = traceback.TracebackException.from_exception(error)
print("".join(only), end="")
print([f"{frame.name}: {frame.line}" for frame in frames])
try:
    compile("x = = 1", "<text>", "exec")
except SyntaxError as error:
    where = (error.lineno, error.offset, error.filename)
[[frame.lineno for frame in frames], "".join(summary.format_exception_only()).split(":")[0], where]
