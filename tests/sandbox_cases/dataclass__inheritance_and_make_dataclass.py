import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass, make_dataclass


@dataclass
class Item:
    name: str
    tags: list[str] = field(default_factory=list)


@dataclass
class Priced(Item):
    cents: int = 0

    def __lt__(self, other):
        return self.cents < other.cents


@dataclass
class Basket:
    owner: str
    items: list[Priced]

    @classmethod
    def load(cls, text):
        raw = json.loads(text)
        return cls(raw["owner"], [Priced(**item) for item in raw["items"]])


Pair = make_dataclass(
    "Pair", [("left", int), ("right", int, 5)], namespace={"sum": lambda self: self.left + self.right}
)
basket = Basket("ann", [Priced("tea", ["hot"], 300), Priced("jam", cents=120)])
text = json.dumps(asdict(basket))
print(text)
again = Basket.load(text)
[again == basket, min(basket.items).name, Pair(1).sum(), [f.name for f in fields(Priced)], is_dataclass(Pair)]
