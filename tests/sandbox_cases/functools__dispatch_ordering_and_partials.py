import functools
from collections.abc import Mapping


@functools.singledispatch
def show(value):
    return repr(value)


@show.register
def _(value: int | float):
    return f"number {value}"


@show.register(Mapping)
def _(value):
    return "{" + ", ".join(f"{k}: {show(v)}" for k, v in value.items()) + "}"


@show.register
def _(value: list):
    return f"{len(value)} items, first {show(value[0])}"


class Cell:
    alive = False

    @functools.singledispatchmethod
    def set(self, state):
        raise TypeError(type(state).__name__)

    @set.register
    def _(self, state: bool):
        self.alive = state
        return self

    revive = functools.partialmethod(set, True)


@functools.lru_cache(maxsize=2)
def slow(n):
    print("computed", n)
    return n * n


[slow(n) for n in (1, 2, 1, 3, 2)]
power = functools.partial(pow, mod=7)
[
    show({"a": [1.5, "x"], "b": "s"}),
    Cell().revive().alive,
    slow.cache_info()._asdict(),
    power(3, 4),
    power.keywords,
    functools.reduce(lambda a, b: {**a, **b}, [{"x": 1}, {"y": 2}], {}),
    show.dispatch(bool).__name__,
]
