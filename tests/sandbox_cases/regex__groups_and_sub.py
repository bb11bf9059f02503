import re

text = "2024-05-06 and 2023-01-02"
dates = re.findall(r"(\d+)-(\d+)-(\d+)", text)
[dates, re.sub(r"(\d+)-(\d+)", r"\2/\1", text), bool(re.fullmatch(r"\w+", "ab c"))]
