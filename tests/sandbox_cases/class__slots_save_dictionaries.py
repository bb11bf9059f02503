class Point:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = x, y


class Named(Point):
    __slots__ = ("__dict__", "name")


problems = []
for change in (lambda p: setattr(p, "z", 1), lambda p: p.__dict__, lambda p: p.missing):
    try:
        change(Point(1, 2))
    except AttributeError as error:
        problems.append(type(error).__name__)
named = Named(1, 2)
named.name, named.other = "n", 5
half = Point.__new__(Point)
print(hasattr(half, "x"), named.__dict__)
[problems, Point.__slots__, type(Point.x).__name__, Point.x.__get__(named)]
