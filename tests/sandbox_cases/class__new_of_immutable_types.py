class Ratio(float):
    def __new__(cls, text):
        over, _, under = text.partition("/")
        made = super().__new__(cls, float(over) / float(under or 1))
        made.text = text
        return made


class Sorted(tuple):
    __slots__ = ()

    def __new__(cls, items):
        return super().__new__(cls, sorted(items))

    def __or__(self, other):
        return Sorted([*self, *other])


class Interned:
    pool = {}

    def __new__(cls, key):
        return cls.pool.setdefault(key, super().__new__(cls))

    def __init__(self, key):
        self.uses = getattr(self, "uses", 0) + 1


half = Ratio("1/2")
print(half + 1, half.text, isinstance(half, float), type(half + 1).__name__)
[Sorted([3, 1]) | (2, 0), Interned("a") is Interned("a"), Interned("a").uses]
