def nothing():
    """Returns nothing."""


_private, __dunderish, _ = 1, 2, "ours"
print(nothing(), _private, __dunderish, _)
nothing()
