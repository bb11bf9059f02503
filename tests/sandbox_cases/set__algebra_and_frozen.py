a, b = set(range(8)), {2, 4, 6, 8}
print(sorted(a | b), sorted(a & b), sorted(a - b), sorted(a ^ b), a > {1}, a.isdisjoint({99}))
groups = {frozenset({1, 2}): "pair", frozenset(): "empty"}
a.difference_update(range(4))
a.symmetric_difference_update({4, 100})
b.discard(77)
try:
    b.remove(77)
except KeyError as error:
    missing = error.args
unique = list(dict.fromkeys([3, 1, 3, 2, 1]))
subsets = [set()]
for item in "ab":
    subsets += [s | {item} for s in subsets]
print(missing, unique, sorted(map(sorted, subsets)))
[
    sorted(a),
    groups[frozenset([2, 1])],
    groups[frozenset()],
    {1, 2} <= {1, 2, 3},
    sorted({c for c in "hello"}),
    type(frozenset("a") | {"b"}).__name__,
]
