def averager():
    total = count = 0
    while True:
        value = yield total / count if count else None
        if value is None:
            return count, total
        total, count = total + value, count + 1


def collect(results, name):
    while True:
        results[name] = yield from averager()
        yield "closed"


def tree(node):
    match node:
        case (left, value, right):
            yield from tree(left)
            yield value
            yield from tree(right)


results = {}
collector = collect(results, "temperature")
next(collector)
means = [collector.send(v) for v in (10, 20, 60)]
print(means, collector.send(None))
[results, list(tree(((None, 1, None), 2, ((None, 3, None), 4, None))))]
