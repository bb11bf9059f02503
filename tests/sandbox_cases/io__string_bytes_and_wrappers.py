import io

text = io.StringIO("one\ntwo\nthree")
text.readline()
rest = text.readlines()
text.seek(0, io.SEEK_END)
text.write("\nfour")
print(text.getvalue().count("\n"), rest, text.tell())
binary = io.BytesIO()
wrapper = io.TextIOWrapper(binary, encoding="utf-16-le", newline="\r\n", write_through=True)
wrapper.write("hé\n")
print(binary.getvalue().hex(), wrapper.encoding)
buffered = io.BufferedReader(io.BytesIO(b"0123456789"), buffer_size=4)
peeked = buffered.peek(2)[:2]
into = bytearray(3)
count = buffered.readinto(into)


class Shout(io.TextIOBase):
    def __init__(self):
        self.said = []

    def write(self, text):
        self.said.append(text.upper())
        return len(text)


shout = Shout()
print("loud", 1, file=shout, end="!")
view = binary.getbuffer()
view[0:2] = "H".encode("utf-16-le")
del view
try:
    io.StringIO().fileno()
except io.UnsupportedOperation as error:
    print(type(error).__mro__[1].__name__, error)
[
    peeked.decode(),
    count,
    into.decode(),
    buffered.read().decode(),
    "".join(shout.said),
    binary.getvalue().decode("utf-16-le"),
]
