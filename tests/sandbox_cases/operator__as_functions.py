import operator
from operator import attrgetter, itemgetter, methodcaller

rows = [{"n": 3, "tag": "b"}, {"n": 1, "tag": "a"}]
print(sorted(rows, key=itemgetter("n")), itemgetter(1, -1)("abcd"), itemgetter(slice(1, 3))("abcd"))
words = ["Beta", "alpha"]
print(sorted(words, key=methodcaller("casefold")), list(map(methodcaller("replace", "a", "4"), words)))
table = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "**": operator.pow}


def rpn(text):
    stack = []
    for token in text.split():
        if token in table:
            right, left = stack.pop(), stack.pop()
            stack.append(table[token](left, right))
        else:
            stack.append(int(token))
    return stack.pop()


data = [1, 2, 3]
operator.setitem(data, 0, 10)
operator.delitem(data, 1)
[
    rpn("3 4 + 2 * 7 //"),
    rpn("2 10 **"),
    data,
    operator.countOf("banana", "a"),
    operator.concat([1], [2]),
    operator.contains("abc", "b"),
    attrgetter("__class__.__name__")(3),
    operator.index(True),
    operator.not_([]),
    operator.xor(5, 1),
]
