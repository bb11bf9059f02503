from typing import Generic, Protocol, TypedDict, TypeVar, get_type_hints

T = TypeVar("T")


class Box(Generic[T]):
    def __init__(self, held: T):
        self.held = held


class Named(Protocol):
    name: str


class Row(TypedDict, total=False):
    a: int


[Box[int](3).held, get_type_hints(Row) == {"a": int}, Row(a=1)]
