import datetime
import json
from decimal import Decimal


class Encoder(json.JSONEncoder):
    def default(self, value):
        if isinstance(value, (datetime.date, Decimal)):
            return str(value)
        if isinstance(value, set):
            return sorted(value)
        return super().default(value)


order = {"at": datetime.date(2024, 5, 6), "tags": {"b", "a"}, "price": Decimal("1.10"), 3: None, True: "t", "ü": "☃"}
print(json.dumps(order, cls=Encoder, indent=2))
print(json.dumps({"b": [1, 2], "a": "é"}, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
exact = json.loads('{"x": 1.10, "y": [1e400, -0]}', parse_float=Decimal, object_pairs_hook=list)
tagged = json.loads('{"re": 1, "im": 2}', object_hook=lambda d: complex(d["re"], d["im"]))
problems = []
for text in ('{"a": 1,}', "[1, 2", "nul", '"\\x"'):
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        problems.append((error.lineno, error.colno))
try:
    json.dumps({"o": object})
except TypeError as error:
    print(error)
[
    str(exact),
    str(tagged),
    [p[0] for p in problems],
    json.loads('"\\ud83d\\ude00 \\u00e9"'),
    json.dumps("\u2028😀"),
    json.loads("[NaN, -Infinity]")[1] < 0,
    json.JSONDecoder().raw_decode('{"a":1} rest'),
]
