calls = []


def noted(value):
    calls.append(value)
    return value


print(1 < noted(5) < 3 < noted(9), noted(0) or noted("") or noted("last"), noted(1) and noted([]) and noted("never"))
print(not 1 == 2, -(2**2), -(2**2), 2**3**2, 2**-1, 1 + 2 << 3 & 0xF | 1, 7 // 2 * 2.0, "ab" * 2, 10 - 3 - 2)
x = 5
grade = "low" if x < 3 else "mid" if x < 7 else "high"
same = None is None, 1 == True == 1.0, "a" in "abc" in ["abc"], not x in [5]
order = []
{order.append("k1") or "a": order.append("v1"), order.append("k2") or "b": order.append("v2")}
values = (noted("f") and (lambda *a, **k: (a, k)))(noted("arg"), *[noted("star")], key=noted("kw"))
[
    calls,
    grade,
    same,
    order,
    values,
    0.1 + 0.2 == 0.3,
    1_000 == 1e3,
    0xFF ^ 0b1010,
    ... is Ellipsis,
    (yes := 3) + yes,
]
