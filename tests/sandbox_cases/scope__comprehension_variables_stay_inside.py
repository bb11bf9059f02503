n = "outer"
squares = [n * n for n in range(4)]
pairs = {(n, m) for n in range(3) for m in range(n)}
grid = [[row * col for col in range(1, 4)] for row in range(1, 4)]
transposed = [list(column) for column in zip(*grid)]
lookup = {value: key for key, value in {"a": 1, "b": 2}.items()}
lazy = (print("computed", k) or k for k in range(3))
print(n, next(lazy))


class Table:
    width = 3
    cells = [column for column in range(width)]


[squares, sorted(pairs), grid, transposed, lookup, Table.cells, n]
