"""Arrays that come with the weights: a folder with `NAME.npz`, and `NAME.json` with its digest and its encoder's.

Whoever reads them names the error and what they are called; a file that cannot be used says why, and what to do.
"""

from __future__ import annotations

import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from toolweft_server.errors import ToolweftError

FORMAT = 1

Made = TypeVar("Made")
Arrays: TypeAlias = Mapping[str, NDArray[Any]]


class Packed(NamedTuple):
    arrays: Arrays
    encoder: str
    """Digest of the encoder whose vectors they were made of."""
    digest: str
    """SHA-256 of the file of the arrays."""


class Kind(NamedTuple):
    """What the arrays are."""

    name: str
    """`heads`: of the files, and in sentences."""
    error: type[ToolweftError]

    def load(self, folder: Path, made: Callable[[Packed], Made], *, encoder: str | None) -> Made:
        """What is `made` of the arrays in `folder`, those of the encoder with this digest, when it is given.

        `made` may raise `KeyError` for an array that is missing, and `ValueError` for what does not fit together.

        Raises:
            ToolweftError: As `error`: missing, cut, damaged, of another format, or made for another encoder.

        """
        manifest = self._manifest(folder)
        arrays = self._arrays(folder, manifest["arrays"])
        if encoder is not None and manifest["encoder"] != encoder:
            self._unusable(folder, f"they were made for the encoder {manifest['encoder']}, and this is {encoder}")
        try:
            return made(Packed(arrays, manifest["encoder"], manifest["arrays"]))
        except KeyError as missing:
            self._unusable(folder, f"{self.name}.npz has no array {missing.args[0]!r}")
        except ValueError as error:
            self._unusable(folder, f"{self.name}.npz: {error}")

    def shipped(self) -> Path:
        """The folder of those that come with the package."""
        return Path(str(resources.files("toolweft_server") / "weights" / self.name))

    def save(self, folder: Path, arrays: Arrays, *, encoder: str, **said: object) -> None:
        """Writes what `load` reads; `said` stands in the manifest too. Each file is replaced at once.

        Raises:
            OSError: The folder cannot be written.

        """
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **dict(sorted(arrays.items())))
        content = buffer.getvalue()
        manifest = {"format": FORMAT, "encoder": encoder, "arrays": digest(content), **said}
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, each in (("npz", content), ("json", json.dumps(manifest, indent=1).encode("ascii"))):
            path = folder / f"{self.name}.{suffix}"
            beside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
            beside.write_bytes(each)
            beside.replace(path)

    def _unusable(self, folder: Path, why: str) -> NoReturn:
        raise self.error(f"the {self.name} in {str(folder)!r} cannot be used: {why}; {self._remedy}")

    @property
    def _remedy(self) -> str:
        return (
            f"reinstall toolweft (`pip install --force-reinstall toolweft`), "
            f"or make the {self.name} again if they are your own"
        )

    def _manifest(self, folder: Path) -> dict[str, Any]:
        name = f"{self.name}.json"
        try:
            manifest = json.loads((folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise self.error(
                f"there are no {self.name} in {str(folder)!r} ({name} is missing); {self._remedy}"
            ) from None
        except (OSError, ValueError) as error:
            self._unusable(folder, f"{name}: {error}")
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            written = manifest.get("format") if isinstance(manifest, dict) else None
            self._unusable(folder, f"{name} is of format {written!r}, and this version reads format {FORMAT}")
        if not all(isinstance(manifest.get(key), str) for key in ("arrays", "encoder")):
            self._unusable(folder, f"{name} does not name the digests of the arrays and the encoder")
        return manifest

    def _arrays(self, folder: Path, expected: str) -> Arrays:
        name = f"{self.name}.npz"
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            self._unusable(folder, f"{name}: {error}")
        if (found := digest(content)) != expected:
            self._unusable(
                folder, f"{name} is cut, damaged or of another save: its digest is {found}, expected {expected}"
            )
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return {each: arrays[each] for each in arrays.files}
        except (ValueError, TypeError, AttributeError, OSError, MemoryError, zipfile.BadZipFile) as error:
            self._unusable(folder, f"{name}: {error}")


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
