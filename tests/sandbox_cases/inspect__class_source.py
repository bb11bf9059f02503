import inspect
import textwrap


def register(*functions):
    return {f.__name__: f for f in functions}


def first(a):
    # a comment that stays
    return a


class Outer:
    class Inner:
        value = 1

        def method(self):
            return """a
            string"""


handlers = register(
    first,
    Outer.Inner.method,
)
doubled = [lambda x: x * 2][0]
print(inspect.getsource(first), end="")
print(textwrap.dedent(inspect.getsource(Outer.Inner)).splitlines()[0], inspect.getsource(doubled).strip())
[
    list(handlers),
    inspect.getcomments(register),
    len(inspect.getsource(Outer).splitlines()),
    inspect.getmodule(first).__name__,
]
