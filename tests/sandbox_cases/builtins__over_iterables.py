names, ages = ["ann", "bob", "cid"], [31, 25, 40]
print(list(enumerate(names, start=1)), dict(zip(names, ages)), max(zip(ages, names)), sum(ages, start=100))
try:
    list(zip(names, ages[:2], strict=True))
except ValueError as error:
    print(error)
matrix = [[1, 2, 3], [4, 5, 6]]
print(
    list(map(list, zip(*matrix))),
    all([]),
    any([]),
    list(reversed("abc")),
    sorted("bca", reverse=True),
    min("b", "a", key=ord),
)
print(
    divmod(17, 5),
    pow(3, 4, 5),
    round(-2.5),
    abs(-3 + 4j),
    bin(5),
    ord("a"),
    chr(98),
    hash(7),
    ascii("é"),
    callable(print),
)
it = iter(range(10))
triples = list(zip(it, it, it))
numbers = list(map(lambda a, b, c: a + b * c, [1, 2], [3, 4], [5, 6]))
[
    triples,
    next(it, "left"),
    numbers,
    isinstance(True, (int, str)),
    issubclass(bool, int | str),
    len(range(0, 100, 7)),
    list(filter(None, [0, "a", [], 2])),
    type("T", (), {"x": 1}).x,
    format(255, "x"),
    [*"ab", *(1,)],
    int("-0b11", 0),
    float("1e3"),
    bool("False"),
    str(b"x", "ascii"),
]
