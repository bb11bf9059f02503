import datetime
import decimal
import fractions
import pathlib
import re
import uuid
from collections import Counter, deque
from dataclasses import dataclass


@dataclass
class Item:
    name: str
    price: decimal.Decimal


things = [
    Item("a", decimal.Decimal("1.10")),
    datetime.timedelta(1),
    fractions.Fraction(1, 3),
    pathlib.PurePosixPath("a/b"),
    re.compile("x+"),
    uuid.UUID(int=1),
    Counter("aab"),
    deque([1], 3),
    1 + 2j,
    slice(1, 2),
    ...,
    NotImplemented,
    int,
    len,
]
for thing in things:
    print(repr(thing))
things
