def check(record):
    problems = []
    for key, kind in {"age": int, "name": str, "tags": list}.items():
        if key not in record:
            problems.append(KeyError(key))
        elif not isinstance(record[key], kind):
            problems.append(TypeError(f"{key} is {type(record[key]).__name__}"))
    if problems:
        raise ExceptionGroup("record", [ExceptionGroup("fields", problems), ValueError("incomplete")])


report = []
try:
    check({"age": "12", "name": 3})
except* TypeError as group:
    report.append(["type", [str(e) for sub in group.exceptions for e in sub.exceptions]])
except* (KeyError, ValueError) as group:
    report.append(["value", group.message, len(group.exceptions)])
else:
    report.append("never")
finally:
    print("checked")

group = ExceptionGroup("g", [OSError(1), ExceptionGroup("h", [OSError(2), EOFError(3)])])
match, rest = group.split(OSError)
[report, repr(match), repr(rest), group.subgroup(lambda e: e.args == (3,)).message]
