from functools import cmp_to_key
from operator import attrgetter, itemgetter

rows = [("b", 2), ("a", 1), ("c", 2), ("d", 1)]
by_number = sorted(rows, key=itemgetter(1))
reverse = sorted(rows, key=itemgetter(1), reverse=True)
two_pass = sorted(sorted(rows, key=itemgetter(0), reverse=True), key=itemgetter(1))
print(by_number, reverse, two_pass, sep="\n")


def version_order(a, b):
    left, right = ([int(x) for x in v.split(".")] for v in (a, b))
    return (left > right) - (left < right)


versions = sorted(["1.10", "1.9", "1.2.1", "1.2"], key=cmp_to_key(version_order))
mixed = ["b", 3, None, 1, "a"]
try:
    mixed.sort()
except TypeError as error:
    print(str(error).split(" instances")[0][:30])
mixed.sort(key=lambda x: (x is None, isinstance(x, str), x if x is not None else 0))
[
    versions,
    mixed,
    sorted({"x": 1, "a": 2}),
    sorted(["é", "z", "e"]),
    attrgetter("real", "imag")(3 + 4j),
    min([], default="none"),
]
