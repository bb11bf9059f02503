import inspect


def greet(name: str = "you") -> str:
    """Says hello."""
    return f"hello {name}"


print(inspect.getsource(greet))
[str(inspect.signature(greet)), greet.__doc__]
