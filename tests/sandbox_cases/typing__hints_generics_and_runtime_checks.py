import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, Literal, NewType, Protocol, Self, TypeVar, cast, overload, runtime_checkable

UserId = NewType("UserId", int)
T = TypeVar("T", bound="Comparable")
MODE: Final = "fast"


@runtime_checkable
class Comparable(Protocol):
    def __lt__(self, other: Any) -> bool: ...


class Builder:
    def __init__(self) -> None:
        self.parts: list[str] = []

    def add(self, part: Annotated[str, "part"]) -> Self:
        self.parts.append(part)
        return self


@overload
def twice(x: int) -> int: ...
@overload
def twice(x: str) -> str: ...
def twice(x):
    return x * 2


def biggest(items: Iterator[T], key: Callable[[T], Any] | None = None, mode: Literal["a", "b"] = "a") -> T | None:
    return max(items, key=key, default=None)


hints = typing.get_type_hints(Builder.add, include_extras=True)
print(hints["part"].__metadata__, typing.get_args(typing.get_type_hints(biggest)["mode"]))
[
    isinstance(3, Comparable),
    isinstance(object, Comparable),
    UserId(5) + 1,
    cast(str, 5),
    twice("ab"),
    biggest(iter([2, 9, 4])),
    len(typing.get_overloads(twice)),
]
