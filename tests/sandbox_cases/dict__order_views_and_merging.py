from collections import ChainMap
from types import MappingProxyType

stock = dict(apple=3, pear=0, fig=7)
stock["pear"] = 5
stock["apple"] = stock.pop("apple")
print(list(stock), list(reversed(stock)), stock.popitem(), stock.setdefault("kiwi", 1))
shared = stock.keys() & {"kiwi", "plum"}
before = stock.keys() - {"kiwi"}
frozen = MappingProxyType(stock)
stock |= [("plum", 2)]
try:
    for name in stock:
        stock[name + "s"] = 1
except RuntimeError as error:
    print(error)
try:
    frozen["x"] = 1
except TypeError as error:
    print(str(error))
settings = ChainMap({"debug": True}, {"debug": False, "level": 3})
settings["level"] = 9
[
    shared == {"kiwi"},
    sorted(before),
    frozen["plum"],
    dict(settings),
    settings.maps,
    dict.fromkeys("ab", 0),
    {1: "a", True: "b", 1.0: "c"},
]
