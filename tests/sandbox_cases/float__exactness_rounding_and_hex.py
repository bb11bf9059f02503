import math
import sys

print(0.1 + 0.2, 0.1 + 0.2 == 0.3, math.isclose(0.1 + 0.2, 0.3), math.fsum([0.1] * 10), sum([0.25] * 4))
print([round(x) for x in (0.5, 1.5, 2.5, -0.5)], round(2.675, 2), round(1234.5678, -2), 1e16 + 1)
print((0.1).hex(), float.fromhex("0x1.8p+1"), (0.75).as_integer_ratio(), 1e308 * 10, -0.0)
infinite = float("inf")
[
    math.trunc(-2.7),
    math.floor(-2.7),
    math.ceil(-2.7),
    math.modf(3.25),
    math.frexp(10.0),
    math.copysign(1, -0.0),
    infinite > sys.float_info.max,
    math.nextafter(1.0, 2.0) - 1.0 == sys.float_info.epsilon,
    7.0 // 2,
    -7.5 % 2,
    str(1e22),
    repr(1e-5),
    math.ulp(1.0) == sys.float_info.epsilon,
    math.dist((0, 0), (3, 4)),
    (3.0).is_integer(),
]
