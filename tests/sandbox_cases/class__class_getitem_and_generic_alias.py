import types
from typing import get_args, get_origin


class Matrix:
    def __class_getitem__(cls, shape):
        rows, columns = shape
        return type(f"Matrix{rows}x{columns}", (cls,), {"shape": shape})

    def zeros(self):
        rows, columns = self.shape
        return [[0] * columns for _ in range(rows)]


class Typed:
    __class_getitem__ = classmethod(types.GenericAlias)


print(Matrix[2, 3].__name__, Matrix[2, 3]().zeros())
alias = dict[str, list[int]]
[
    repr(alias),
    get_origin(alias).__name__,
    repr(get_args(alias)[1]),
    alias(a=1),
    repr(Typed[int].__args__),
    repr(int | None),
]
