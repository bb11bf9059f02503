import io

stream = io.BytesIO(b"abcdefghij")
chunks = []
while chunk := stream.read(4):
    chunks.append(chunk.decode())
print(chunks)

seen = []
if any((bad := word).startswith("x") for word in ["alpha", "xenon", "beta"]):
    seen.append(bad)
squares = [root for n in range(30) if (root := n**0.5).is_integer()]
total = 0
running = [total := total + n for n in [1, 2, 3, 4]]
[chunks, seen, squares, running, total]
