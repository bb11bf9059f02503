import unicodedata

composed, decomposed = "é", "e\u0301"
print(composed == decomposed, len(composed), len(decomposed), unicodedata.normalize("NFC", decomposed) == composed)
print(
    [unicodedata.name(c, "?") for c in "é☃\t"],
    unicodedata.category("A"),
    unicodedata.numeric("½"),
    unicodedata.lookup("SNOWMAN"),
)
plain = "".join(c for c in unicodedata.normalize("NFKD", "Ångström ﬁne ①") if not unicodedata.combining(c))
print(plain, "family: 👨‍👩‍👧 flag: 🇩🇪 thumbs: 👍🏽 maths: 𝔘")
print("right to left: שלום مرحبا", "zero width: a\u200bb", ascii("𝔘é"), "\N{BULLET}")
lone = "a\ud800b"
try:
    lone.encode("utf-8")
except UnicodeEncodeError as error:
    print(error.start, error.reason)
raw = b"ok\xff\xfe"
kept = raw.decode("utf-8", "surrogateescape")
[
    len("👨‍👩‍👧"),
    "𝔘".encode("utf-16-le").hex(),
    lone.encode("utf-8", "surrogatepass").hex(),
    kept.encode("utf-8", "surrogateescape") == raw,
    unicodedata.east_asian_width("日"),
    raw.decode("utf-8", "replace"),
]
