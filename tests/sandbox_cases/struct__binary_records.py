import struct

header = struct.Struct("<4sHHIf")
packed = header.pack(b"TWFT", 1, 2, 0xDEADBEEF, 1.5)
magic, major, minor, checksum, ratio = header.unpack(packed)
print(packed.hex(" "), header.size, magic, major, minor, hex(checksum), ratio)
buffer = bytearray(16)
struct.pack_into(">hq", buffer, 2, -2, 2**40)
print(struct.unpack_from(">hq", buffer, 2), buffer.hex())
points = b"".join(struct.pack("!2i", x, x * x) for x in range(4))
try:
    struct.pack("B", 300)
except struct.error as error:
    print(type(error).__name__)
[
    list(struct.iter_unpack("!2i", points)),
    struct.calcsize("=bq"),
    struct.unpack("<3s?", b"abc\x01")[1],
    struct.unpack(">e", struct.pack(">e", 0.5)),
    struct.unpack("2p3x", struct.pack("2p3x", b"z"))[0].decode(),
]
