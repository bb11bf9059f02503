import numbers
from decimal import Decimal
from fractions import Fraction

values = [True, 3, 2.5, 1 + 2j, Fraction(1, 2), Decimal("1.5")]
kinds = [numbers.Integral, numbers.Rational, numbers.Real, numbers.Complex, numbers.Number]
for value in values:
    print(f"{value!r:>16} {[kind.__name__ for kind in kinds if isinstance(value, kind)][:1]}")


def halve(x):
    match x:
        case bool():
            return "a truth"
        case numbers.Integral():
            return x // 2
        case numbers.Real():
            return x / 2
        case _:
            return None


[halve(v) for v in (True, 7, 5.0, 1j)]
