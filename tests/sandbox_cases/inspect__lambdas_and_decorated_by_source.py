import functools
import inspect


def shout(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args).upper()

    return wrapper


# says hello,
# politely
@shout
def first(a):
    # a comment that stays
    return f"hello {a}"


def outer():
    def inner(x):
        return (
            """a
        string"""
            + x
        )

    return inner


doubled = [lambda x: x * 2][0]
print(inspect.getsource(first), end="")
print(inspect.getsource(outer()).strip().splitlines()[0], "|", inspect.getsource(doubled).strip())
[first("ann"), inspect.getcomments(first), inspect.getsourcelines(outer)[1], len(inspect.getsource(shout).splitlines())]
