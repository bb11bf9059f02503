import sys


def depth(n):
    return depth(n + 1)


try:
    depth(0)
except RecursionError as error:
    text = str(error)


def flatten(tree):
    for node in tree:
        if isinstance(node, list):
            yield from flatten(node)
        else:
            yield node


nested = []
for n in range(200):
    nested = [n, nested]
print(text.split(":")[0][:32])
[sum(flatten(nested)), sys.getrecursionlimit() >= 1000]
