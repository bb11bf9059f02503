log = []


def step(n):
    try:
        if n == 2:
            raise ValueError(n)
        return f"returned {n}"
    except ValueError as error:
        log.append(f"handling {error}")
        raise
    finally:
        log.append(f"finally {n}")


def outer(n):
    try:
        return step(n)
    except ValueError as error:
        try:
            raise RuntimeError("wrapped") from error
        except RuntimeError as wrapped:
            return f"{wrapped} <- {wrapped.__cause__!r}"


results = [outer(n) for n in (1, 2)]
try:
    raise
except RuntimeError as error:
    print(error)
try:
    raise KeyError
except LookupError as error:
    print(repr(error))
try:
    raise "text"
except TypeError as error:
    print(error)
error = ValueError("kept").with_traceback(None)
[results, log, error.args, error.__traceback__]
