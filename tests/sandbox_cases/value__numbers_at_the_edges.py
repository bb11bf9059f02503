values = {
    "big": 2**200,
    "negative": -(10**30),
    "tiny": 5e-324,
    "huge": 1.7976931348623157e308,
    "minus zero": -0.0,
    "exact": 0.1,
    "int64": 2**63 - 1,
}
print(values["big"], values["minus zero"])
values
