import decimal
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext

prices = [Decimal(p) for p in ("19.99", "5.00", "0.105")]
total = sum(prices)
cents = Decimal("0.01")
print(total, total.quantize(cents, ROUND_HALF_UP), total.quantize(cents, ROUND_HALF_EVEN), Decimal("2.50").normalize())
with localcontext() as context:
    context.prec = 5
    context.rounding = decimal.ROUND_DOWN
    context.traps[decimal.Inexact] = False
    third = Decimal(1) / 3
    inexact = context.flags[decimal.Inexact]
print(third, inexact, Decimal(1) / 3, Decimal(0.1))
problems = []
for work in (lambda: Decimal(1) / 0, lambda: Decimal("abc"), lambda: Decimal("sNaN") + 1):
    try:
        work()
    except decimal.DecimalException as error:
        problems.append(type(error).__name__)
[
    problems,
    str(Decimal("1e3") + 1),
    Decimal("-3.7").as_tuple().exponent,
    f"{Decimal('1234567.891'):,.2f}",
    str(Decimal(2).sqrt())[:12],
    Decimal("NaN").is_nan(),
    int(Decimal("7.9")),
    str(Decimal("1.10") * 3),
    Decimal("0.5") == 0.5,
]
