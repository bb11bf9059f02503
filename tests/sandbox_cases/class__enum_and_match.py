import enum


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def name(thing):
    match thing:
        case Colour.RED:
            return "red"
        case {"colour": str(text), **rest}:
            return text, sorted(rest)
        case [first, *_] if first > 0:
            return first
        case _:
            return "?"


[name(Colour.RED), name({"colour": "b", "z": 1, "a": 2}), name([4, 5]), name(0)]
