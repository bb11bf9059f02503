# needs: work directory
import os
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory(prefix="case-") as folder:
    inside = Path(folder, "x.txt")
    inside.write_text("temporary", encoding="utf-8")
    print(os.path.basename(folder).startswith("case-"), inside.read_text(encoding="utf-8"))
with tempfile.NamedTemporaryFile("w+", suffix=".csv", encoding="utf-8") as named:
    named.write("a,b\n")
    named.flush()
    again = Path(named.name).read_text(encoding="utf-8")
with tempfile.TemporaryFile() as anonymous:
    anonymous.write(b"abc" * 1000)
    anonymous.seek(-3, 2)
    tail = anonymous.read()
with tempfile.SpooledTemporaryFile(max_size=10) as spooled:
    spooled.write(b"short")
    spooled.write(b"now it goes to a file")
    spooled.seek(0)
    spilled = spooled.read(8)
handle, path = tempfile.mkstemp(dir=".", text=True)
os.write(handle, b"raw")
os.close(handle)
size = os.stat(path).st_size
os.unlink(path)
print(os.path.isdir(tempfile.gettempdir()), os.path.isdir(tempfile.mkdtemp(dir=".")))
[os.path.exists(folder), os.path.exists(named.name), again, tail.decode(), spilled.decode(), size]
