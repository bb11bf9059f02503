log = []


def numbers():
    for n in range(1, 1_000_000):
        log.append(n)
        yield n


def only(predicate, source):
    return (item for item in source if predicate(item))


def take(count, source):
    for _, item in zip(range(count), source):
        yield item


def chunked(size, source):
    chunk = []
    for item in source:
        chunk.append(item)
        if len(chunk) == size:
            yield tuple(chunk)
            chunk = []
    if chunk:
        yield tuple(chunk)


result = list(chunked(2, take(5, only(lambda n: n % 3 == 0, numbers()))))
print(len(log), "numbers were looked at")
[result, log[-1]]
