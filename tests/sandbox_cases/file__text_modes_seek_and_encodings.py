# needs: work directory
import os

with open("notes.txt", "w", encoding="utf-8", newline="\n") as file:
    file.write("first\n")
    print("printed", 2, sep="-", file=file)
    file.writelines(["zoë\n", "last"])
with open("notes.txt", "a+", encoding="utf-8") as file:
    size = file.tell()
    file.write("!")
    file.seek(0)
    lines = file.read().splitlines()
with open("notes.txt", "rb") as file:
    file.seek(-5, os.SEEK_END)
    end = file.read()
try:
    open("notes.txt", "x", encoding="utf-8")
except FileExistsError as error:
    print(error.strerror, error.filename)
with open("latin.txt", "w", encoding="latin-1") as file:
    file.write("é" * 3)
try:
    open("latin.txt", encoding="utf-8").read()
except UnicodeDecodeError as error:
    print(error.encoding, error.start)
with open("notes.txt", "r+", encoding="utf-8") as file:
    file.write("FIRST")
    file.truncate(11)
print(open("notes.txt", encoding="utf-8").read())
[size, lines, end.decode(), os.path.getsize("latin.txt"), open("latin.txt", encoding="utf-8", errors="replace").read()]
