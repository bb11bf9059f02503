late = [lambda: n for n in range(3)]
early = [lambda n=n: n for n in range(3)]


def counters():
    count = 0

    def up(by=1):
        nonlocal count
        count += by
        return count

    return up, lambda: count


up, read = counters()
up()
up(5)
print([f() for f in late], [f() for f in early], read())
[up.__closure__[0].cell_contents, up.__code__.co_freevars, up.__defaults__]
