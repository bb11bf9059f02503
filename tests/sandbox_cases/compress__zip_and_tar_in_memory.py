import io
import tarfile
import zipfile

buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("readme.txt", "hello " * 100)
    archive.writestr(zipfile.ZipInfo("data/ü.bin", (2024, 5, 6, 7, 8, 10)), bytes(5))
with zipfile.ZipFile(buffer) as archive:
    infos = [(i.filename, i.file_size, i.compress_size < i.file_size) for i in archive.infolist()]
    print(infos, archive.testzip(), archive.getinfo("data/ü.bin").date_time)
    listed = sorted(p.name for p in zipfile.Path(archive).iterdir())
    with archive.open("readme.txt") as file:
        head = file.read(5).decode()
try:
    zipfile.ZipFile(io.BytesIO(b"not a zip"))
except zipfile.BadZipFile as error:
    print(error)
tarred = io.BytesIO()
with tarfile.open(fileobj=tarred, mode="w:xz") as tar:
    for name, data in {"a/one": b"1", "a/two": b"22"}.items():
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o600
        tar.addfile(info, io.BytesIO(data))
tarred.seek(0)
with tarfile.open(fileobj=tarred) as tar:
    members = [(m.name, m.size, oct(m.mode), m.isfile()) for m in tar]
    two = tar.extractfile("a/two").read().decode()
[listed, head, members, two]
