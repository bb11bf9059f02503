import array
import sys

samples = array.array("h", [1, -2, 300])
samples.extend(range(3))
samples.insert(0, 7)
raw = samples.tobytes()
again = array.array("h")
again.frombytes(raw)
print(again == samples, samples.itemsize, len(raw), samples.typecode, samples[1:3])
try:
    samples.append(40_000)
except OverflowError as error:
    print(type(error).__name__)
samples.byteswap()
swapped = samples.tolist()
samples.byteswap()
floats = array.array("d", (x / 4 for x in range(4)))
unsigned = array.array("B", b"\x00\xff")
small = sys.getsizeof(array.array("i", range(1000))) < sys.getsizeof(list(range(1000)))
print(floats, unsigned.tolist(), small)
[swapped[0], samples.index(300), samples.count(1), sum(floats), samples.pop(), floats[::-1].tolist()]
