import math


class Empty:
    pass


def function():
    return 1


print(Empty, Empty.__module__, function.__qualname__, math.__name__)
[Empty, function, Empty.__init__ is object.__init__, math.sqrt]
