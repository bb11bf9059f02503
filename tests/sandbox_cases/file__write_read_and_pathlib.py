# needs: work directory
from pathlib import Path

folder = Path("made")
folder.mkdir()
(folder / "a.txt").write_text("one\ntwo\n", encoding="utf-8")
with open(folder / "a.txt", encoding="utf-8") as file:
    lines = [line.strip() for line in file]
print(sorted(p.as_posix() for p in folder.rglob("*")))
lines
