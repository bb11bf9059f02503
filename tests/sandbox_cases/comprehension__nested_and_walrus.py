data = {"a": [1, 2], "b": [3]}
flat = [(key, n) for key, ns in data.items() for n in ns if (half := n / 2) >= 1]
print({key: sum(ns) for key, ns in data.items()})
[flat, half]
