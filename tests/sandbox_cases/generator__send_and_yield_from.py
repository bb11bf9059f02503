def inner():
    got = yield 1
    return got * 2


def outer():
    result = yield from inner()
    yield result


g = outer()
[next(g), g.send(21)]
