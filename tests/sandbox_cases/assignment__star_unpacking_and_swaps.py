head, *middle, tail = range(6)
(a, b), [c, *d] = "xy", {"k": 1, "l": 2, "m": 3}
first, *empty = [1]
print(head, middle, tail, a, b, c, d, first, empty)

values = [0, 1, 2]
i = 0
i, values[i] = 2, "set at the new index"
x = y = []
x.append(1)
merged = {**{"a": 1, "b": 2}, "b": 3, **dict(c=4)}
try:
    p, q = [1, 2, 3]
except ValueError as error:
    problem = str(error)
[values, x is y, y, merged, [*range(2), *"hi", *{"key": 0}], problem.split(" (")[0]]
