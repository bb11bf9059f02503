data = b"key=value;flag=1;\xff\x00"
parts = dict(p.split(b"=") for p in data.split(b";") if b"=" in p)
print(parts, data[-2:], data[0], list(data[:3]))
table = bytes.maketrans(b"abc", b"xyz")
print(b"aabbcc".translate(table, b"b"), bytes.fromhex("de ad be ef"), bytes(3), bytes([65, 66]))
mutable = bytearray(b"hello")
mutable[0:1] = b"JJ"
mutable.extend(b"!!")
del mutable[-1]
mutable += bytes("é", "utf-8")
print(mutable, mutable.decode("utf-8"))
[
    b"%s-%04d" % (b"id", 7) == b"id-0007",
    data.hex(":", 4)[:11],
    b"a,b".partition(b","),
    b"x" * 3 > b"w",
    mutable.find(b"l"),
    b"tEsT".swapcase().decode(),
]
