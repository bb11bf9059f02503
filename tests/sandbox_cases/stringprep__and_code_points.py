import string
import stringprep
import sys

print(
    stringprep.in_table_b1("\u00ad"),
    stringprep.map_table_b2("ẞ"),
    stringprep.in_table_c11(" "),
    stringprep.in_table_d1("א"),
)
print(chr(0x1F600), ord("€"), sys.maxunicode == 0x10FFFF, "\x41\u0042\U00000043\103", r"raw \n stays", "concat")


def caesar(text, by):
    lower = string.ascii_lowercase
    return text.translate(str.maketrans(lower, lower[by:] + lower[:by]))


def run_length(text):
    from itertools import groupby

    return "".join(f"{len(list(g))}{c}" for c, g in groupby(text))


try:
    chr(0x110000)
except ValueError as error:
    print(error)
[
    caesar("hello", 3),
    caesar(caesar("hello", 3), -3),
    run_length("aaabcc"),
    [hex(ord(c)) for c in "a€😀"],
    "𝕏".encode().hex(),
    len("\r\n".splitlines()),
]
