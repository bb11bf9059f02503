import re

html = "<b>one</b><b>two</b>"
print(re.findall(r"<b>.*</b>", html), re.findall(r"<b>(.*?)</b>", html), re.search(r"(?<=<b>)\w+(?=</b>)", html).span())
words = re.findall(r"\b(\w)(\w*)\1\b", "abba level stats noon word")
price = re.compile(r"(?<!\$)\b\d+(?:\.\d\d)?\b(?!%)")
camel = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", "someMixedCaseName").lower()
thousands = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", ",", "1234567")
m = re.match(r"(?:(a)|(b))+", "aab")
print(words, price.findall("cost 5 or $6 or 7% or 8.50"), camel, thousands)
try:
    re.compile(r"(unclosed [a-z")
except re.error as error:
    print(error.msg, error.pos)
scanner = re.Scanner([(r"\d+", lambda s, t: int(t)), (r"[a-z]+", lambda s, t: t), (r"\s+", None)])
tokens, rest = scanner.scan("ab 12 !x")
[
    m.groups(),
    m.lastindex,
    tokens,
    rest,
    re.fullmatch(r"(?i:YES)|no", "yes") is not None,
    re.findall(r"(?s)a.b", "a\nb"),
    re.findall(r"(\d+)(?(1)x|y)", "12x"),
]
