import functools


def retry(times, *, on=Exception):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            for attempt in range(1, times + 1):
                try:
                    return function(*args, attempt=attempt, **kwargs)
                except on as error:
                    print(f"attempt {attempt}: {error}")
            raise RuntimeError(f"{function.__name__} failed {times} times")

        return wrapper

    return decorate


@retry(3, on=ValueError)
def fetch(name, *, attempt):
    """Fetches."""
    if attempt < 3:
        raise ValueError(f"{name} not ready")
    return name, attempt


[fetch("page"), fetch.__name__, fetch.__doc__, hasattr(fetch, "__wrapped__")]
