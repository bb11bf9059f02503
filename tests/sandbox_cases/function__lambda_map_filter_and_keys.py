people = [("Ann", 31), ("Bob", 25), ("Cid", 31), ("Dee", 19)]
by_age_then_name = sorted(people, key=lambda p: (-p[1], p[0]))
adults = list(filter(lambda p: p[1] >= 21, people))
names = list(map(str.upper, (name for name, _ in people)))
compose = lambda *fs: lambda x: [x := f(x) for f in fs][-1]
pipeline = compose(lambda x: x + 1, lambda x: x * 10, str)
print(by_age_then_name)
dispatch = {"+": lambda a, b: a + b, "/": lambda a, b: a / b if b else None}
[adults, names, pipeline(4), max(people, key=lambda p: len(p[0]) * p[1]), dispatch["/"](1, 0), dispatch["+"](1, 2)]
