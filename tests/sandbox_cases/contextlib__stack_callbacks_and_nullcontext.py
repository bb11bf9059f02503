import contextlib
import io

log = []


class Connection:
    def close(self):
        log.append("closed")


with contextlib.ExitStack() as stack:
    stack.callback(log.append, "callback runs last")
    stack.enter_context(contextlib.closing(Connection()))
    stack.push(lambda kind, error, trace: log.append(f"saw {kind.__name__}") or True)
    raise OSError("swallowed by the pushed function")
with contextlib.redirect_stdout(io.StringIO()) as captured:
    print("hidden")
with contextlib.nullcontext(5) as five, contextlib.suppress(ZeroDivisionError):
    five / 0


@contextlib.contextmanager
def tag(name):
    print(f"<{name}>")
    yield name.upper()
    print(f"</{name}>")


@tag("decorated")
def body():
    print("inside")


body()
[log, captured.getvalue(), five]
