import bz2
import gzip
import io
import lzma
import zlib

data = b"the same words again and again. " * 500
packed = {
    "gzip": gzip.compress(data, mtime=0),
    "bz2": bz2.compress(data),
    "lzma": lzma.compress(data),
    "zlib": zlib.compress(data, 9),
}
for name, blob in packed.items():
    print(name, len(blob) < len(data) / 20, blob[:2].hex())
back = [
    gzip.decompress(packed["gzip"]),
    bz2.decompress(packed["bz2"]),
    lzma.decompress(packed["lzma"]),
    zlib.decompress(packed["zlib"]),
]
stream = zlib.decompressobj()
parts = [stream.decompress(packed["zlib"][i : i + 10]) for i in range(0, len(packed["zlib"]), 10)]
with gzip.open(io.BytesIO(packed["gzip"]), "rt", encoding="ascii") as file:
    start = file.read(14)
problems = []
for work in (
    lambda: zlib.decompress(b"junk"),
    lambda: gzip.decompress(b"junk"),
    lambda: lzma.decompress(b"junk"),
    lambda: bz2.decompress(b"junk"),
):
    try:
        work()
    except (zlib.error, OSError, lzma.LZMAError) as error:
        problems.append(type(error).__name__)
[
    all(b == data for b in back),
    b"".join(parts) + stream.flush() == data,
    start,
    problems,
    zlib.crc32(b"hello"),
    zlib.adler32(b"hello"),
]
