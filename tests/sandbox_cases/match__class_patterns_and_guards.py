from dataclasses import dataclass


@dataclass
class Circle:
    radius: float


@dataclass
class Box:
    width: float
    height: float


def area(shape):
    match shape:
        case Circle(radius=0) | Box(0, _) | Box(_, 0):
            return "flat"
        case Circle(r):
            return round(3.14159 * r * r, 2)
        case Box(w, h) if w == h:
            return f"square {w * h}"
        case Box(width=w, height=h):
            return w * h
        case _:
            raise TypeError(type(shape).__name__)


shapes = [Circle(2), Circle(0), Box(2, 3), Box(4, 4), Box(0, 9)]
for shape in shapes:
    print(shape, "->", area(shape))
[area(s) for s in shapes]
