shared = numbers = [1, 2]
numbers += (3,)
numbers *= 2
word = alias = "ab"
word += "c"
pair = ([],)
try:
    pair[0] += [1]
except TypeError as error:
    print(type(error).__name__, pair)
counts = {"a": 1}
counts |= {"b": 2}
flags = {1, 2, 3, 4}
flags &= {2, 3, 4, 5}
flags ^= {4, 9}
n = 7
n //= 2
n **= 3
n <<= 2
n %= 50
[shared is numbers, numbers, word, alias, counts, sorted(flags), n]
