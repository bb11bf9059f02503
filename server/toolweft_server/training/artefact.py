"""What training leaves behind: one folder with `woven.safetensors` (arrays) and `woven.json` (what they are).

Everything that must fit together is named by a digest: the encoder that made the vectors, the codebook, the trie and
the catalogue. Loading checks the digests against the arrays, and against what the caller is about to use them with;
a mismatch is refused and names both. Nothing is unpickled. Writing goes to a folder beside and replaces file by file,
the JSON last: it names the arrays' own digest, so a save cut in half is refused and never read as whole.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as dump_arrays

from toolweft_server.training.assign import Assigned
from toolweft_server.training.errors import ArtefactError
from toolweft_server.training.quantise import restore
from toolweft_server.training.quantiser import Arrays, Quantiser

FORMAT = 1
ARRAYS, MANIFEST = "woven.safetensors", "woven.json"

Array: TypeAlias = NDArray[Any]


class Digests(NamedTuple):
    """What belongs together, 32 hex digits each."""

    encoder: str
    codebook: str
    trie: str
    catalogue: str


@dataclass(frozen=True, slots=True, eq=False)
class Artefact:
    """A quantiser, the tools it has coded, and where both come from."""

    quantiser: Quantiser
    assigned: Assigned
    tools: tuple[tuple[str, str], ...]
    """Id and digest of each tool, in the order of the codes."""
    encoder: str
    """Digest of the encoder that made the vectors (`encode.digest`)."""
    seeds: Mapping[str, int]
    config: Mapping[str, Any]
    """What every stage was run with; for people, not read back."""

    def __post_init__(self) -> None:
        if len(self.tools) != len(self.assigned.codes):
            raise ArtefactError(f"{len(self.assigned.codes)} codes do not fit {len(self.tools)} tools")

    @property
    def digests(self) -> Digests:
        return Digests(
            self.encoder, codebook_digest(self.quantiser), self.assigned.trie.digest, catalogue_digest(self.tools)
        )

    def save(self, folder: Path) -> None:
        """Writes it into `folder` (created). What stands there is replaced.

        Raises:
            ArtefactError: An array that is not finite: nothing is written.
            OSError: The folder cannot be written.

        """
        arrays = {f"quantiser.{name}": each for name, each in self.quantiser.arrays().items()}
        arrays |= {"codes": self.assigned.codes, "suffix": self.assigned.suffix}
        _require_finite(arrays, folder)
        content = dump_arrays({name: np.ascontiguousarray(each) for name, each in arrays.items()})
        manifest = {
            "format": FORMAT,
            "quantiser": self.quantiser.kind,
            "digests": self.digests._asdict(),
            "arrays": hashlib.sha256(content).hexdigest(),
            "seeds": dict(self.seeds),
            "config": dict(self.config),
            "tools": [list(each) for each in self.tools],
        }
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / ARRAYS, content)
        replace_file(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=True).encode("ascii"))


def load(folder: Path, *, encoder: str | None = None, catalogue: str | None = None) -> Artefact:
    """The artefact in `folder`, for use with this encoder and this catalogue when they are given.

    Raises:
        ArtefactError: Missing, cut, damaged, of another format, not finite, or made for another encoder or catalogue.

    """
    manifest = _manifest(folder)
    arrays = _arrays(folder, manifest)
    _require_finite(arrays, folder)
    try:
        said = Digests(**manifest["digests"])
        parts = {name.removeprefix("quantiser."): each for name, each in arrays.items() if "quantiser." in name}
        found = Artefact(
            restore(manifest["quantiser"], parts),
            Assigned(arrays["codes"], arrays["suffix"]),
            tuple((tool_id, tool_digest) for tool_id, tool_digest in manifest["tools"]),
            said.encoder,
            manifest["seeds"],
            manifest["config"],
        )
        digests = found.digests
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        _unusable(folder, f"its parts do not fit together: {type(error).__name__}: {error}")
    for name, theirs, ours in zip(Digests._fields, said, digests, strict=True):
        if theirs != ours:
            _unusable(folder, f"its {name} is {ours} and the manifest says {theirs}")
    wanted = said._replace(encoder=encoder or said.encoder, catalogue=catalogue or said.catalogue)
    for name, theirs, ours in zip(Digests._fields, said, wanted, strict=True):
        if theirs != ours:
            _unusable(folder, f"it was made for {name} {theirs}, and this is {name} {ours}")
    return found


def without(artefact: Artefact, removed: Iterable[str]) -> Artefact:
    """The artefact of a catalogue from which tools have gone. Everybody else keeps their code and suffix."""
    gone = set(removed)
    kept = np.array([tool_id not in gone for tool_id, _ in artefact.tools], bool)
    assigned = Assigned(artefact.assigned.codes[kept], artefact.assigned.suffix[kept])
    tools = tuple(each for each in artefact.tools if each[0] not in gone)
    return replace(artefact, assigned=assigned, tools=tools)


def codebook_digest(quantiser: Quantiser) -> str:
    """32 hex digits over all that decides a code: the map into the latent space, and the codewords."""
    hashed = hashlib.sha256(quantiser.kind.encode())
    for name, array in sorted(quantiser.arrays().items()):
        hashed.update(f"{name} {array.dtype.str} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()[:32]


def catalogue_digest(tools: Sequence[tuple[str, str]]) -> str:
    """32 hex digits over ids and digests; equals `index.lexical.fingerprint` of a catalogue's cards."""
    lines = "".join(f"{tool_id} {tool_digest}\n" for tool_id, tool_digest in sorted(tools))
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(f"no trained artefact in {str(folder)!r}: run `toolweft train tokenize`") from None
    except (OSError, ValueError) as error:
        _unusable(folder, f"{MANIFEST}: {error}")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        written = manifest.get("format") if isinstance(manifest, dict) else None
        _unusable(folder, f"it is of format {written!r}, and this version reads format {FORMAT}")
    return manifest


def _arrays(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Array]:
    try:
        content = (folder / ARRAYS).read_bytes()
    except OSError as error:
        _unusable(folder, f"{ARRAYS}: {error}")
    if (found := hashlib.sha256(content).hexdigest()) != (said := manifest.get("arrays")):
        _unusable(folder, f"{ARRAYS} is cut, damaged or of another save: its digest is {found}, expected {said}")
    try:
        return load_arrays(content)
    except (SafetensorError, ValueError) as error:
        _unusable(folder, f"{ARRAYS}: {error}")


def _require_finite(arrays: Arrays, folder: Path) -> None:
    for name, each in arrays.items():
        if np.issubdtype(each.dtype, np.floating) and not np.isfinite(each).all():
            _unusable(folder, f"its array {name!r} holds NaN or infinity")


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file whole: a reader sees the old one or the new one."""
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    beside.write_bytes(content)
    beside.replace(path)


def _unusable(folder: Path, why: str) -> NoReturn:
    raise ArtefactError(f"the trained artefact in {str(folder)!r} cannot be used: {why}; train it again")
