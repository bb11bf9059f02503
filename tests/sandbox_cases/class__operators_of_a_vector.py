import math
from functools import total_ordering


@total_ordering
class Vector:
    def __init__(self, *parts):
        self.parts = parts

    def __add__(self, other):
        return Vector(*map(sum, zip(self.parts, other.parts))) if isinstance(other, Vector) else NotImplemented

    def __mul__(self, scale):
        return Vector(*(p * scale for p in self.parts))

    __rmul__ = __mul__

    def __matmul__(self, other):
        return sum(a * b for a, b in zip(self.parts, other.parts))

    def __neg__(self):
        return -1 * self

    def __abs__(self):
        return math.hypot(*self.parts)

    def __bool__(self):
        return any(self.parts)

    def __eq__(self, other):
        return isinstance(other, Vector) and self.parts == other.parts

    def __lt__(self, other):
        return abs(self) < abs(other)

    def __hash__(self):
        return hash(self.parts)

    def __repr__(self):
        return f"Vector{self.parts}"


a, b = Vector(3, 4), Vector(1, 1)
print(a + b, 2 * a, -b, a @ b, abs(a), bool(Vector(0, 0)))
try:
    a + 1
except TypeError as error:
    print(error)
[a > b, a >= b, max([b, a, Vector(2, 2)]).parts, len({a, Vector(3, 4)}), a != b]
