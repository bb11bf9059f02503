import dataclasses
from dataclasses import InitVar, dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    x: int
    y: int = 0


@dataclass
class Account:
    owner: str
    start: InitVar[int]
    balance: int = field(init=False)
    history: list[int] = field(default_factory=list, repr=False, compare=False)
    bank: ClassVar[str] = "b"

    def __post_init__(self, start):
        self.balance = start * 100


@dataclass(order=True, unsafe_hash=True)
class Card:
    rank: int = field(metadata={"unit": "pips"})
    suit: str = field(compare=False, default="?")


point = Point(x=1)
try:
    point.x = 5
except dataclasses.FrozenInstanceError as error:
    print(type(error).__name__, error)
account = Account("ann", 3)
print(account, dataclasses.replace(point, y=9))
fields = [f.name for f in dataclasses.fields(Account)]
[
    fields,
    dataclasses.astuple(point),
    Card(1, "a") == Card(1, "b"),
    max(Card(3), Card(7)).rank,
    {point: "hash"}[Point(x=1)],
]
