deep = leaf = []
for _ in range(60):
    leaf.append([])
    leaf = leaf[0]
leaf.append("bottom")
print(str(deep).count("["))
{"deep": deep, "empty": [[], {}, "", (), None, False, 0], "mixed": [(1, [2, {"a": (3,)}])]}
