import tomllib

text = """
title = "demo \\u00e9"
when = 2024-05-06T07:08:09Z
day = 2024-05-06
big = 1_000_000
hex = 0xff
ratios = [0.5, inf, 1e3]
raw = 'C:\\path'
multi = \"\"\"
line one
  line two \\
  joined\"\"\"

[owner]
name.first = "Ann"
tags = ["x", ["nested"]]

[[item]]
id = 1
[[item]]
id = 2
inline = { a = 1, "b c" = true }
"""
data = tomllib.loads(text)
print(data["when"].isoformat(), data["day"], data["ratios"], repr(data["multi"]))
problems = []
for bad in ("a = ", "a = 1\na = 2", "[x\n", "d = 2024-13-01"):
    try:
        tomllib.loads(bad)
    except tomllib.TOMLDecodeError as error:
        problems.append(type(error).__name__)
[
    data["title"],
    data["owner"],
    data["item"],
    data["raw"],
    data["hex"] + data["big"],
    len(problems),
    str(tomllib.loads("x = 0.1", parse_float=lambda s: f"<{s}>")),
]
