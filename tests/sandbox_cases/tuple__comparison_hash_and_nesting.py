points = {(0, 0): "origin", (1, (2, 3)): "nested"}
print(points[1, (2, 3)], (1, 2) < (1, 2, 0) < (1, 3), () < (0,), (1,) + (2,) * 2)
single = (1,)
not_a_tuple = 1
(first, (second, *rest)), last = (1, (2, 3, 4)), 5
try:
    hash((1, []))
except TypeError as error:
    print(error)
releases = ["3.9", "3.10", "2.7"]
newest = max(tuple(map(int, r.split("."))) for r in releases)
[
    type(single).__name__,
    type(not_a_tuple).__name__,
    first,
    second,
    rest,
    last,
    newest,
    (1, 2, 1).count(1),
    tuple(zip("ab", (1, 2))),
]
