def run(command):
    match command.split():
        case ["go", ("north" | "south") as where]:
            return {"move": where}
        case ["take", *things] if things:
            return {"hold": things}
        case ["say", first, *_, last]:
            return {"first": first, "last": last}
        case []:
            return None
        case [unknown, *_]:
            return {"unknown": unknown}


def route(event):
    match event:
        case {"type": "user", "payload": {"id": int(number), **rest}}:
            return number, sorted(rest)
        case {"type": kind}:
            return kind
        case str() | bytes():
            return "text"
        case None | True | -1 | 2.5:
            return "constant"
        case (x, y):
            return x + y
        case _:
            return "?"


for text in ["go north", "take lamp key", "say a b c d", "", "dance now"]:
    print(repr(text), run(text))
events = [
    {"type": "user", "payload": {"id": 7, "b": 1, "a": 2}},
    {"type": "x", "n": 1},
    b"raw",
    True,
    -1,
    2.5,
    (3, 4),
    99,
]
[route(e) for e in events]
