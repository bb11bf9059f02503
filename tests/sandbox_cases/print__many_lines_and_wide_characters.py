lines = 0
for n in range(1500):
    print(f"{n:05d} {'é☃🎉'[n % 3] * (n % 7)} {n * n}")
    lines += 1
print("x" * 20_000)
print("\n".join("│" + "─" * n for n in range(5)))
lines
