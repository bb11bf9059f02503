from collections import OrderedDict, namedtuple

P = namedtuple("P", "x y")
p = P(1, y=2)
print(p, p._asdict())
OrderedDict(b=1, a=[p.x, p.y])
