import contextlib
import io
import sys

print("a", "b", sep="", end="|")
print(*range(3), sep=", ")
print("no newline at the end of this write", end="")
print()
sys.stdout.write("tab\tbell\x07 nul\x00 cr\r\n")
print("percent % and {braces} and \\backslash", flush=True)
print()
with contextlib.redirect_stdout(io.StringIO()) as inner:
    print("captured")
    with contextlib.redirect_stderr(sys.stdout):
        print("also", file=sys.stderr)


class Tee:
    def __init__(self, *streams):
        self.streams = streams

    def write(self, text):
        for stream in self.streams:
            stream.write(text)

    def flush(self):
        pass


copy, original = io.StringIO(), sys.stdout
sys.stdout = Tee(original, copy)
print("to both")
sys.stdout = original
sys.stdout.buffer.write(b"raw \xc3\xa9 bytes\n")
sys.stdout.buffer.flush()
[inner.getvalue(), copy.getvalue(), sys.stdout.encoding, print("x", file=io.StringIO())]
