log = []


def lazy():
    log.append("started")
    yield 1


print(log)
lazy()
