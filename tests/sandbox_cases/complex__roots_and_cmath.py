import cmath


def roots(a, b, c):
    d = cmath.sqrt(b * b - 4 * a * c)
    return (-b + d) / (2 * a), (-b - d) / (2 * a)


z = 3 + 4j
print(abs(z), z.conjugate(), z * 1j, z**2, (1 + 2j) / (1 - 1j), complex("1-2j"))
r, phi = cmath.polar(-1j)
unity = [cmath.exp(2j * cmath.pi * k / 4) for k in range(4)]
print([complex(round(u.real, 9) + 0, round(u.imag, 9) + 0) for u in unity], f"{z:.1f}")
[r, round(phi, 6), str(roots(1, 2, 5)), cmath.isclose(cmath.rect(1, cmath.pi), -1), z.real, z == complex(3, 4)]
