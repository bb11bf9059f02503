import types


def describe(self):
    return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


def make(name, *fields):
    def __init__(self, *values):
        vars(self).update(zip(fields, values, strict=True))

    return type(name, (), {"__init__": __init__, "__repr__": describe, "fields": fields})


Point = make("Point", "x", "y")
Late = types.new_class("Late", (Point,), {}, lambda space: space.update(kind="late"))
point = Point(1, y := 2)
shout = types.MethodType(lambda self: repr(self).upper(), point)
print(point, Late(3, 4), shout())
Point.total = property(lambda self: self.x + self.y)
try:
    Point(1)
except ValueError as error:
    problem = str(error)
[point.total, Late.kind, Late.__mro__[1].__name__, problem, y]
