from decimal import Decimal, getcontext
from fractions import Fraction

getcontext().prec = 20
print(Decimal(1) / Decimal(7))
str(sum(Fraction(1, n) for n in range(1, 8)))
