import itertools as it

rows = [("fruit", "apple"), ("fruit", "fig"), ("veg", "kale"), ("fruit", "kiwi")]
groups = {k: [v for _, v in g] for k, g in it.groupby(sorted(rows), key=lambda r: r[0])}
print(groups, [k for k, _ in it.groupby("aabccc")])
accumulated = list(it.accumulate([3, 1, 4, 1, 5], max)), list(it.accumulate(range(1, 6), lambda a, b: a * b, initial=1))
first, second = it.tee(iter(range(4)))
next(second)
print(accumulated, list(zip(first, second)), list(it.zip_longest("ab", "x", fillvalue="-")))


def batched(source, size):
    source = iter(source)
    while batch := tuple(it.islice(source, size)):
        yield batch


evens = it.takewhile(lambda n: n < 10, it.count(0, 2))
rotation = it.cycle("RGB")
[
    list(batched("abcdefg", 3)),
    list(it.chain.from_iterable([[1], [2, 3]])),
    list(evens),
    [next(rotation) for _ in range(5)],
    list(it.compress("abcd", [1, 0, 1, 0])),
    list(it.dropwhile(str.isdigit, "12a3")),
    list(it.filterfalse(None, [0, 1, ""])),
    list(it.starmap(pow, [(2, 3), (3, 2)])),
    list(it.repeat("x", 2)),
    list(it.islice(it.count(10), 2, 9, 3)),
]
