from fractions import Fraction


def egyptian(f):
    while f:
        unit = Fraction(1, -(-f.denominator // f.numerator))
        yield unit
        f -= unit


def continued(f):
    while True:
        whole, f = divmod(f, 1)
        yield int(whole)
        if not f:
            return
        f = 1 / f


print([str(p) for p in egyptian(Fraction(43, 48))], list(continued(Fraction(415, 93))))
print(
    Fraction("0.125"),
    Fraction(3.14159).limit_denominator(100),
    Fraction(6, -4),
    Fraction(1, 3) + 1,
    Fraction(1, 2) ** -2,
)
[
    str(Fraction(7, 3) % 2),
    round(Fraction(22, 7), 3) == Fraction(3143, 1000),
    Fraction(1, 4) == 0.25,
    float(Fraction(1, 8)),
    hash(Fraction(4, 2)) == hash(2),
    Fraction(5, 2).as_integer_ratio(),
    sum([Fraction(1, 10)] * 10) == 1,
]
