import enum
from collections import UserString, namedtuple


class Level(enum.IntEnum):
    LOW = 1


class Tag(str):
    def __str__(self):
        return "not this"


class Money(float):
    def __repr__(self):
        return "money"


class Mode(enum.StrEnum):
    FAST = "fast"


Point = namedtuple("Point", "x y")
values = [
    Level.LOW,
    Tag("tag"),
    Mode.FAST,
    Point(1, 2),
    True,
    type("Rows", (list,), {})([1]),
    type("Map", (dict,), {})(a=1),
]
print(values[2], Money(2.5))
values
