import contextlib


@contextlib.contextmanager
def named(name):
    print("in", name)
    try:
        yield name
    finally:
        print("out", name)


with contextlib.ExitStack() as stack:
    got = [stack.enter_context(named(n)) for n in "ab"]
with contextlib.suppress(KeyError):
    {}["x"]
got
