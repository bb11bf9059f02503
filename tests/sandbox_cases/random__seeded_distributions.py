import random

rng = random.Random(2024)
state = rng.getstate()
first = [rng.randrange(100) for _ in range(3)]
rng.setstate(state)
print(first == [rng.randrange(100) for _ in range(3)])
deck = list(range(10))
rng.shuffle(deck)
sample = rng.sample(range(1000), 4)
weighted = rng.choices("abc", weights=[1, 0, 9], k=200)
print(sorted(deck) == list(range(10)), len(set(sample)), "b" in weighted, weighted.count("c") > weighted.count("a"))
walk = [0]
for _ in range(1000):
    walk.append(walk[-1] + rng.choice((-1, 1)))
inside = sum(rng.random() ** 2 + rng.random() ** 2 < 1 for _ in range(20_000))
print(abs(4 * inside / 20_000 - 3.14159) < 0.1)
random.seed(1)
[
    random.Random("text").randint(1, 6),
    random.random(),
    random.Random(5).getrandbits(16),
    round(random.Random(7).gauss(0, 1), 6),
    random.Random(1).randbytes(4).hex(),
    len(walk),
]
