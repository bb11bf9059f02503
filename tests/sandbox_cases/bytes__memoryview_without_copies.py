import array

buffer = bytearray(range(16))
view = memoryview(buffer)
view[4:8] = b"\xaa\xbb\xcc\xdd"
words = view.cast("H")
print(words.itemsize, len(words), words.nbytes, words.readonly, view[4:8].hex())
words[0] = 0xFFFF
grid = view.cast("B", shape=[4, 4])
print(grid.tolist()[0], grid.shape, grid.ndim)
try:
    buffer.append(1)
except BufferError as error:
    blocked = type(error).__name__
for each in (grid, words, view):
    each.release()
buffer.append(1)
numbers = array.array("d", [1.5, 2.5])
floats = memoryview(numbers)
floats[1] = 9.0
frozen = memoryview(b"abc")
[blocked, len(buffer), numbers.tolist(), floats.format, frozen.readonly, bytes(frozen[::-1]), frozen == b"abc"]
