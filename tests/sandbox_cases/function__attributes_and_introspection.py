def scale(x: float, by: "int" = 2) -> float:
    """Scales a number.

    More text.
    """
    scale.calls += 1
    unit = 1
    return x * by * unit


scale.calls = 0
scale(2), scale(3)
code = scale.__code__
print(scale.__name__, scale.__qualname__, scale.__module__)
print(scale.__doc__.splitlines()[0])
names = {"args": code.co_argcount, "locals": code.co_varnames, "constants": 1 in code.co_consts}
[names, scale.calls, scale.__annotations__["by"], scale.__defaults__, callable(scale), scale.__get__(5)()]
