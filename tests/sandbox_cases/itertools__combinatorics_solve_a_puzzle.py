import itertools


def solve(puzzle):
    words = puzzle.replace("==", "+").split("+")
    words = [w.strip() for w in words]
    letters = "".join(dict.fromkeys("".join(words)))
    for digits in itertools.permutations(range(10), len(letters)):
        value = dict(zip(letters, digits))
        if all(value[w[0]] for w in words):
            *parts, total = (int("".join(str(value[c]) for c in w)) for w in words)
            if sum(parts) == total:
                return value
    return None


print(solve("TO + GO == OUT"))
hands = itertools.combinations("ABCD", 2)
rolls = [sum(roll) for roll in itertools.product(range(1, 7), repeat=2)]
[
    ["".join(h) for h in hands],
    rolls.count(7),
    len(list(itertools.permutations("abcd"))),
    list(itertools.combinations_with_replacement("xy", 2)),
    next(
        (a, b, c) for a, b, c in itertools.combinations(range(1, 60), 3) if a * a + b * b == c * c and a + b + c == 132
    ),
]
