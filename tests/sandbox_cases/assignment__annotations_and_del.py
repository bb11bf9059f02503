import sys

limit: int = 3
unset: "str"
record = {"a": 1, "b": 2, "c": 3}
items = list(range(10))
del record["b"], items[2:8:2]
print(record, items)


class Holder:
    size: int
    name: str = "n"


holder = Holder()
holder.extra = 1
del holder.extra
gone = []
for expression in ("unset", "holder.extra", "record['b']"):
    try:
        eval(expression)
    except (NameError, AttributeError, KeyError) as error:
        gone.append(type(error).__name__)
[gone, Holder.__annotations__["size"].__name__, sorted(Holder.__annotations__), limit]
