import warnings


def old(n):
    warnings.warn(f"old({n}) is going away", DeprecationWarning, stacklevel=2)
    return n


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    old(1)
    old(2)
    warnings.warn("plain")
print([(w.category.__name__, str(w.message)) for w in caught])
with warnings.catch_warnings():
    warnings.simplefilter("error", DeprecationWarning)
    try:
        old(3)
    except DeprecationWarning as error:
        raised = str(error)


class Slow(UserWarning):
    pass


with warnings.catch_warnings(record=True) as chosen:
    warnings.resetwarnings()
    warnings.filterwarnings("ignore", message="old", category=DeprecationWarning)
    warnings.filterwarnings("once", category=Slow)
    for _ in range(3):
        old(4)
        warnings.warn("slow", Slow)
[
    raised,
    [str(w.message) for w in chosen],
    issubclass(Slow, Warning),
    warnings.formatwarning("m", Slow, "f.py", 3, "code"),
]
