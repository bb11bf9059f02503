# needs: work directory
import errno
import os
from pathlib import Path

Path("folder").mkdir()
Path("folder/file").write_text("x", encoding="utf-8")
problems = {}
for name, work in {
    "open": lambda: open("absent/file", encoding="utf-8"),
    "rmdir": lambda: os.rmdir("folder"),
    "mkdir": lambda: os.mkdir("folder"),
    "read": lambda: open("folder", encoding="utf-8"),
    "list": lambda: os.listdir("folder/file"),
    "remove": lambda: Path("nothing").unlink(),
}.items():
    try:
        work()
    except OSError as error:
        problems[name] = [type(error).__name__, errno.errorcode[error.errno]]
Path("nothing").unlink(missing_ok=True)
Path("folder").mkdir(exist_ok=True)
for name, problem in problems.items():
    print(name, *problem)
problems
