# needs: work directory
import fnmatch
import glob
import os
from pathlib import Path, PurePosixPath, PureWindowsPath

os.mkdir("project")
os.chdir("project")
for name in ("src/a.py", "src/deep/b.py", "src/deep/c.txt", "docs/readme.md", "src/.hidden"):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(name, encoding="utf-8")
tree = [(root, sorted(dirs), sorted(files)) for root, dirs, files in sorted(os.walk("."))]
print(tree)
print(
    sorted(glob.glob("**/*.py", recursive=True)),
    sorted(glob.glob("src/*")),
    sorted(p.name for p in Path().rglob("*.[mt]*")),
)
with os.scandir("src") as entries:
    kinds = sorted((e.name, e.is_dir(), e.stat().st_size if e.is_file() else None) for e in entries)
path = PurePosixPath("/srv/data/../app.tar.gz")
print(
    path.suffixes, path.stem, path.parts[1:3], path.with_suffix(".zip").name, path.is_relative_to("/srv"), path.parent
)
[
    kinds,
    fnmatch.filter(["a.py", "b.PY", "c.txt"], "*.py"),
    fnmatch.fnmatchcase("x1", "x[!a-z]"),
    os.path.relpath("src/deep", "docs"),
    PureWindowsPath(r"C:\a\b.txt").as_posix(),
    os.path.splitext("a/b.c.d"),
    os.path.normpath("a//b/../c"),
    os.path.commonpath(["/a/b/c", "/a/b/d"]),
]
