def worker():
    done = []
    try:
        while True:
            try:
                task = yield len(done)
                done.append(task)
            except ValueError as error:
                done.append(f"bad: {error}")
    finally:
        print("worker cleaned up", done)


w = worker()
sizes = [next(w), w.send("a"), w.throw(ValueError("b")), w.send("c")]
w.close()
w.close()


def limited():
    yield 1
    return "finished"


g = limited()
next(g)
try:
    next(g)
except StopIteration as stop:
    result = stop.value
[sizes, result, list(g), w.gi_frame is None]
