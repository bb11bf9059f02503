import datetime

value, width, precision = 1234.56789, 12, 2
print(f"[{value:{width}.{precision}f}] [{value:<12,.1f}] [{value:^+12.3e}] [{value:012.1f}] [{0.256:.1%}] [{value:g}]")
print(f"{42:b} {42:#x} {42:o} {42:c} {-42:=+6d} {1_000_000:_} {255:08b} {42:*^9}")
print(f"{'left':<8}|{'mid':^8}|{'right':>8}|{'truncated':.4}|{'quote'!r:>10}|{'ü'!a}")
total = 3
print(f"{total=} {total * 2 = } {total=:>4} {{literal}} {datetime.date(2024, 5, 6):%d.%m.%Y}")
record = {"name": "ann", "tags": ["a", "b"]}
line = "{0[name]} {0[tags][1]} {1.real} {who!s:>5}".format(record, 3 + 4j, who="me")
rows = [("tea", 3.5), ("coffee", 12.25)]
table = "\n".join(f"{name:.<10}{price:>8.2f}" for name, price in rows)
print(table)
[
    line,
    "{:{fill}>{size}}".format("x", fill="-", size=4),
    "%-6s|%+.2e|%x|%%|%r" % ("a", 12345.678, 255, "q"),
    format(7, "03"),
]
