# needs: work directory
import os
import shutil
from pathlib import Path

for name in ("tree/a.txt", "tree/sub/b.txt", "tree/sub/skip.log"):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(name * 3, encoding="utf-8")
shutil.copytree("tree", "copy", ignore=shutil.ignore_patterns("*.log"))
print(sorted(p.as_posix() for p in Path("copy").rglob("*")))
shutil.copy2("tree/a.txt", "copy/sub")
shutil.move("copy/sub", "moved")
archive = shutil.make_archive("backup", "gztar", root_dir="tree")
shutil.unpack_archive(archive, "restored")
print(os.path.basename(archive), sorted(p.name for p in Path("restored").rglob("*.*")))
shutil.rmtree("tree")
shutil.rmtree("not there", ignore_errors=True)
with open("a", "wb") as out, open("restored/a.txt", "rb") as source:
    shutil.copyfileobj(source, out, 4)
[
    os.path.exists("tree"),
    sorted(os.listdir("moved")),
    os.path.getsize("a"),
    shutil.disk_usage(".").total > 0,
    shutil.which("surely-no-such-program"),
]
