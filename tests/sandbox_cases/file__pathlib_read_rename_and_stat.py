# needs: work directory
import os
import stat
from pathlib import Path

base = Path("box")
(base / "inner").mkdir(parents=True)
data = base / "data.bin"
print(data.write_bytes(bytes(range(10))), data.read_bytes()[-2:], data.exists(), data.stat().st_size)
moved = data.rename(base / "inner" / "moved.bin")
link = base / "link"
link.symlink_to("inner/moved.bin")
print(link.is_symlink(), os.readlink(link), link.read_bytes() == moved.read_bytes(), link.resolve().name)
moved.chmod(0o640)
print(stat.filemode(moved.stat().st_mode), oct(stat.S_IMODE(os.stat(moved).st_mode)))
os.utime(moved, (1_700_000_000, 1_700_000_001))
copy = base / "copy"
copy.write_bytes(moved.read_bytes())
print(os.path.samefile(link, moved), moved.stat().st_nlink, int(moved.stat().st_mtime))
names = sorted(p.relative_to(base).as_posix() for p in base.rglob("*"))
os.replace(copy, base / "final")
link.unlink()
[
    names,
    sorted(os.listdir(base)),
    Path.cwd() == Path().resolve(),
    base.joinpath("a", "b").as_posix(),
    os.access(moved, os.R_OK),
]
