import pprint
import reprlib
from collections import OrderedDict
from dataclasses import dataclass


@dataclass
class Server:
    name: str
    ports: list


data = {
    "zeta": list(range(25)),
    "alpha": {"nested": ("tuple", {"deep": [1, [2, [3]]]})},
    "text": "long words " * 8,
    "server": Server("s", [80]),
}
pprint.pprint(data, width=60, compact=True)
print(pprint.pformat(data["alpha"], depth=2), pprint.pformat({"b": 1, "a": 2}, sort_dicts=False), pprint.saferepr([[]]))
loop = [1]
loop.append(loop)
short = reprlib.Repr()
short.maxlist, short.maxstring = 2, 12


class Node:
    @reprlib.recursive_repr("<again>")
    def __repr__(self):
        return f"Node({self.child!r})"


node = Node()
node.child = node
[
    repr(loop),
    short.repr([1, 2, 3]),
    short.repr("abcdefghijklmnop"),
    repr(node),
    pprint.isrecursive(loop),
    reprlib.repr(set(range(10))),
    repr(OrderedDict(a=1).keys()),
]
