import math


def sieve(limit):
    flags = bytearray([1]) * (limit + 1)
    flags[:2] = b"\0\0"
    for n in range(2, math.isqrt(limit) + 1):
        if flags[n]:
            flags[n * n :: n] = bytes(len(range(n * n, limit + 1, n)))
    return [n for n, is_prime in enumerate(flags) if is_prime]


def probably_prime(n):
    return all(pow(base, n - 1, n) == 1 for base in (2, 3, 5, 7) if n % base)


primes = sieve(100_000)
fibonacci = [0, 1]
while len(str(fibonacci[-1])) < 100:
    fibonacci.append(sum(fibonacci[-2:]))
print(len(primes), primes[-3:], len(fibonacci))
[
    math.gcd(462, 1071, 21),
    math.lcm(4, 6, 10),
    math.factorial(25),
    probably_prime(2**89 - 1),
    str(fibonacci[-1])[:12],
    math.perm(10, 3),
]
