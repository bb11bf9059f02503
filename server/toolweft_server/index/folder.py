"""An index on disk: plain `.npy` files under a name of their own, and one manifest that says which ones count.

A save writes a whole new set of files and then replaces the manifest, so a reader or a crash sees the old snapshot
or the new one. Loading maps the files and reads only the manifest. Nothing here knows what the arrays mean.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.errors import IndexFolderError
from toolweft_server.index.segments import Segment

Array: TypeAlias = NDArray[Any]

FORMAT = 1
MANIFEST = "index.json"
_ABANDONED_SECONDS = 3600
"""Files that no manifest names and nobody touched for so long belong to a save that never ended."""


class Held(NamedTuple):
    """One segment and what goes with it in a snapshot."""

    segment: Segment
    live: Array
    uses: Array
    impacts: Array


def save(folder: Path, parts: Sequence[Held], stamp: Mapping[str, Any], fingerprint: str) -> None:
    """Replaces the snapshot in `folder`.

    Raises:
        IndexFolderError: The folder cannot be written.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = _named(folder)
        files = folder / f"snapshot-{uuid.uuid4().hex[:12]}"
        files.mkdir()
        sizes = {f"{n}-{name}.npy": _write(files / f"{n}-{name}.npy", array) for n, name, array in _arrays(parts)}
        manifest = {"format": FORMAT, "stamp": stamp, "fingerprint": fingerprint, "folder": files.name}
        _replace(folder / MANIFEST, json.dumps({**manifest, "parts": len(parts), "files": sizes}, indent=1))
    except OSError as error:
        raise IndexFolderError(f"cannot write the index to {str(folder)!r}: {error}") from error
    _sweep(folder, keep=files.name, before=before)


def load(folder: Path, stamp: Mapping[str, Any]) -> list[Held]:
    """The parts of the snapshot in `folder`, mapped and not read.

    Raises:
        IndexFolderError: There is none, something of it is missing or cut, or its stamp is another.

    """
    manifest = read_manifest(folder)
    if manifest.get("format") != FORMAT or manifest.get("stamp") != stamp:
        _unusable(folder, "another version of toolweft wrote it")
    try:
        return _parts(folder / manifest["folder"], manifest)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if _named(folder) not in (None, manifest.get("folder")):
            return load(folder, stamp)  # another process saved in between and swept what we were about to open
        _unusable(folder, f"{type(error).__name__}: {error}")


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `folder` says that it holds, without opening any array.

    Raises:
        IndexFolderError: There is no manifest, or it is not one.

    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise IndexFolderError(f"no index in {str(folder)!r}: build one and save it there") from None
    except (OSError, ValueError) as error:
        _unusable(folder, str(error))
    if not isinstance(manifest, dict):
        _unusable(folder, "the manifest is no JSON object")
    return manifest


def _parts(files: Path, manifest: Mapping[str, Any]) -> list[Held]:
    sizes: Mapping[str, int] = manifest["files"]
    parts = []
    for n in range(manifest["parts"]):
        fields = {each.name: _read(files, f"{n}-{each.name}.npy", sizes) for each in dataclasses.fields(Segment)}
        rest = [_read(files, f"{n}-{name}.npy", sizes) for name in Held._fields[1:]]
        parts.append(Held(Segment(**fields), *rest))
        _check(parts[-1])
    return parts


def _check(part: Held) -> None:
    """Arrays that fit together: a file of the right size and the wrong content must not become a wrong answer."""
    segment, tools, postings = part.segment, len(part.segment), len(part.segment.docs)
    fits = (
        segment.lengths.shape[1] == len(segment.digests) == len(segment.servers) == len(part.live) == tools
        and segment.counts.shape[1] == len(part.impacts) == postings
        and len(segment.vocabulary) == len(part.uses) == len(segment.starts) - 1
        and int(segment.starts[-1]) == postings
        and int(segment.name_starts[-1]) == len(segment.name_owners)
        and (tools == 0 or int(segment.id_ends[-1]) == len(segment.id_blob))
    )
    if not fits:
        raise ValueError("the arrays do not fit together")


def _arrays(parts: Sequence[Held]) -> Iterator[tuple[int, str, Array]]:
    for n, part in enumerate(parts):
        for each in dataclasses.fields(Segment):
            yield n, each.name, getattr(part.segment, each.name)
        yield from ((n, name, getattr(part, name)) for name in Held._fields[1:])


def _write(path: Path, array: Array) -> int:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _read(files: Path, name: str, sizes: Mapping[str, int]) -> Array:
    if (size := (files / name).stat().st_size) != sizes[name]:
        raise ValueError(f"{name} has {size} bytes and should have {sizes[name]}")
    mapped: Array = np.load(files / name, mmap_mode="r", allow_pickle=False)
    return mapped.view(np.ndarray)


def _replace(path: Path, content: str) -> None:
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    with beside.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _named(folder: Path) -> str | None:
    try:
        name = read_manifest(folder).get("folder")
    except IndexFolderError:
        return None
    return name if isinstance(name, str) else None


def _sweep(folder: Path, *, keep: str, before: str | None) -> None:
    """Removes the snapshot just replaced, and what crashed saves left. A file still mapped on Windows stays."""
    old = time.time() - _ABANDONED_SECONDS
    for each in folder.glob("snapshot-*"):
        if each.name != keep and (each.name == before or each.stat().st_mtime < old):
            shutil.rmtree(each, ignore_errors=True)


def _unusable(folder: Path, why: str) -> NoReturn:
    raise IndexFolderError(
        f"the index in {str(folder)!r} cannot be used ({why}); delete the folder and it is built again"
    )
