def smallest_factor(n):
    for candidate in range(2, int(n**0.5) + 1):
        if n % candidate:
            continue
        break
    else:
        return None
    return candidate


def collatz(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
        if steps > 200:
            break
    else:
        return steps
    return -1


print({n: smallest_factor(n) for n in (7, 15, 91, 97)})
found = []
for row in range(3):
    for column in range(3):
        if row == column == 1:
            break
        found.append((row, column))
    else:
        found.append("row done")
[found, collatz(27), collatz(1)]
