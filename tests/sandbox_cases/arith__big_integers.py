import math

print(2**200 % 1_000_007)
math.comb(100, 50) // math.factorial(20)
