import re

log = """\
2024-05-06 12:00:01 ERROR [db] timeout after 30s
2024-05-06 12:00:02 info  [web] GET /a?x=1
bad line
2024-05-07 08:15:00 Error [db] lost 2 rows"""
line = re.compile(
    r"""^(?P<day>\d{4}-\d\d-\d\d)\s (?P<time>[\d:]+)\s+   # when
        (?P<level>\w+)\s+ \[(?P<part>[^]]+)\]\s (?P<text>.*)$""",
    re.VERBOSE | re.MULTILINE,
)
records = [m.groupdict() for m in line.finditer(log)]
print([(r["day"], r["level"].lower(), r["part"]) for r in records])
errors = [m["text"] for m in line.finditer(log) if re.match("error", m["level"], re.IGNORECASE)]
doubled = re.sub(r"\d+", lambda m: str(int(m[0]) * 2), "a1 b22 c333", count=2)
swapped = re.sub(r"(?P<first>\w+) (?P<second>\w+)", r"\g<second> \g<first>", "hello world")
print(line.groupindex["level"], line.pattern.count("\n"), re.escape("1+1=(2)"), re.subn("[aeiou]", "", "education"))
[errors, doubled, swapped, re.split(r"[;,]\s*", "a, b;c,d"), re.split(r"(-)", "x-y"), records[0]["time"]]
