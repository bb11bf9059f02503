"""Wheels made in a test, so that an installer has something to install without a network."""

import base64
import hashlib
import zipfile


def wheel(folder, name, version="1.0", *, needs=(), files=None):
    """A pure wheel in `folder`, as small as one can be."""
    files = files or {f"{name}/__init__.py": f"VERSION = {version!r}\n", "tests/__init__.py": ""}
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {n}" for n in needs)]
    files = {
        **files, f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }  # fmt: skip
    record = f"{info}/RECORD"
    rows = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}"
        for path, text in files.items()
    ]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**files, record: "\n".join([*rows, f"{record},,"]) + "\n"}.items():
            archive.writestr(path, text)
