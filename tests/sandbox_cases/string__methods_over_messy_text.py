raw = "  Name:  Zoë Smith ;AGE:41;; city : São Paulo  "
record = {}
for part in filter(None, raw.strip().split(";")):
    key, _, value = part.partition(":")
    record[key.strip().casefold()] = " ".join(value.split())
print(record)
text = "the quick brown fox"
print(text.title(), text.capitalize().swapcase(), text.replace("quick", "slow", 1), text.rsplit(" ", 1), sep=" / ")
print(
    "a\tb\n c\r\nd".splitlines(),
    "tab\tto".expandtabs(8),
    "x=1=2".rpartition("="),
    "0042".lstrip("0"),
    "file.tar.gz".removesuffix(".gz"),
)
print("straße".casefold() == "STRASSE".casefold(), "ß".upper(), "İ".lower().encode("unicode_escape"), "ǆ".title())
table = str.maketrans({"a": "4", "e": None, "o": "00"})
[
    "leetspeak for all oceans".translate(table),
    "12".zfill(5),
    "-7".zfill(4),
    "ab".center(7, "*"),
    "abc".find("z"),
    "x1".isidentifier(),
    "½".isnumeric(),
    "²".isdigit(),
    "๓".isdecimal(),
    " ".isspace(),
    "banana".count("an"),
    "-".join("abc"),
    "prefix-body".startswith(("pre", "suf")),
    "Ab".istitle(),
    "é" < "z",
    "a" * 3 in "baaab",
]
