def make(n, /, *rest, scale=2, **more):
    count = 0

    def step():
        nonlocal count
        count += n * scale
        return count

    step()
    return step() + len(rest) + len(more)


make(3, 1, 2, scale=5, z=1)
