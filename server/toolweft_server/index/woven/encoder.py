"""Texts -> vectors at run time: a small transformer as int8 ONNX, on one core, without torch.

A folder holds the graph, its tokenizer and `encoder.json`, which names the digest of both: what does not fit is
refused. `training.encoder.export` writes such folders, and one of them ships with the package.

Texts are run one by one: the integers that a text is rounded to must not depend on the texts beside it, or a tool
encoded alone would get another vector than the same tool in a rebuilt index. It costs next to nothing, because one
document is work enough for one core, and nothing is padded. It also bounds memory by the longest text.

Importing this module does not import `onnxruntime`; the first text does.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from toolweft_server.errors import EncoderError
from toolweft_server.index.woven.wordpiece import WordPiece

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]

FORMAT = 1
MANIFEST, GRAPH, TOKENIZER = "encoder.json", "encoder.onnx", "tokenizer.json"
INPUT, OUTPUT = "ids", "vectors"
"""The graph: token ids (B, T) int64, no padding -> (B, D) float32 of unit length."""

_SLOWER = "SkipLayerNormFusion"
"""The runtime would make one node of a sum and what normalises it, which takes twice as long as the two."""
_CHARACTERS = 64
"""Of a text, for each token that can be used: what follows is not even tokenized."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `encoder.json` says."""

    size: int
    """Numbers in a vector."""
    longest: int
    """Tokens of a text that count, first and last mark included."""
    files: Mapping[str, str]
    """SHA-256 of each file, by name."""
    name: str
    base: str
    """The model that it was made from."""
    licence: str

    @property
    def digest(self) -> str:
        """32 hex digits over all that decides a vector."""
        parts = [FORMAT, self.size, self.longest, *sorted(self.files.items())]
        return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[:32]


class _Running(NamedTuple):
    session: InferenceSession
    tokenizer: WordPiece


class Encoder:
    """One folder's encoder. Threads may share it. The same text has the same vector, alone and in any company."""

    def __init__(self, folder: Path, manifest: Manifest, *, threads: int = 1) -> None:
        self.manifest = manifest
        self._folder = folder
        self._threads = threads
        self._running: _Running | None = None
        self._opening = threading.Lock()  # two first texts at once must not open two sessions

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> Encoder:
        """The encoder in `folder`; its files are read and checked with the first text, or by `open`.

        Raises:
            EncoderError: No manifest, one of another format, or a file that it names is missing.

        """
        manifest = _manifest(folder)
        for name in (GRAPH, TOKENIZER):
            if name not in manifest.files:
                _unusable(folder, f"{MANIFEST} does not name {name}")
            if not (folder / name).is_file():
                _unusable(folder, f"{name} is missing")
        return cls(folder, manifest, threads=threads)

    @classmethod
    def shipped(cls, *, threads: int = 1) -> Encoder:
        """The encoder that comes with the package.

        Raises:
            EncoderError: The installation is not whole.

        """
        return cls.load(Path(str(resources.files("toolweft_server") / "weights" / "encoder")), threads=threads)

    @property
    def digest(self) -> str:
        """32 hex digits: vectors of equal digests can be compared."""
        return self.manifest.digest

    @property
    def size(self) -> int:
        return self.manifest.size

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D), unit length; the zero vector for a text in which the tokenizer finds nothing.

        A text is cut after `manifest.longest` tokens.

        Raises:
            EncoderError: The files cannot be used, or a vector is not finite.

        """
        vectors = np.zeros((len(texts), self.size), np.float32)
        if len(texts) == 0:
            return vectors
        running = self.open()
        for row, text in enumerate(texts):
            if ids := self._ids(running.tokenizer, text):
                vectors[row] = self._vector(running.session, ids)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            at = texts[int(np.argmin(finite))]
            _unusable(self._folder, f"{GRAPH} gave NaN or infinity for the text {at[:80]!r}")
        return vectors

    def open(self) -> _Running:
        """Reads and checks the files now and not with the first text. Again: does nothing.

        Raises:
            EncoderError: A file is cut, damaged, of another encoder, or holds something else.

        """
        with self._opening:
            if self._running is None:
                self._running = _open(self._folder, self.manifest, self._threads)
            return self._running

    def _ids(self, tokenizer: WordPiece, text: str) -> list[int]:
        return tokenizer.ids(text[: _CHARACTERS * self.manifest.longest], self.manifest.longest)

    def _vector(self, session: InferenceSession, ids: list[int]) -> NDArray[np.float32]:
        (found,) = session.run([OUTPUT], {INPUT: np.array([ids], np.int64)})
        return np.asarray(found[0], np.float32)


def _manifest(folder: Path) -> Manifest:
    try:
        read = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EncoderError(f"there is no encoder in {str(folder)!r} ({MANIFEST} is missing); {_REMEDY}") from None
    except (OSError, ValueError) as error:
        _unusable(folder, f"{MANIFEST}: {error}")
    if not isinstance(read, dict) or read.get("format") != FORMAT:
        written = read.get("format") if isinstance(read, dict) else None
        _unusable(folder, f"{MANIFEST} is of format {written!r}, and this version reads format {FORMAT}")
    try:
        manifest = Manifest(
            int(read["size"]),
            int(read["longest"]),
            {str(name): str(sha) for name, sha in read["files"].items()},
            str(read["name"]),
            str(read["base"]),
            str(read["licence"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _unusable(folder, f"{MANIFEST} does not say what it must: {type(error).__name__}: {error}")
    if manifest.size < 1 or manifest.longest < 1:
        _unusable(folder, f"{MANIFEST} says size {manifest.size} and longest {manifest.longest}")
    return manifest


def _open(folder: Path, manifest: Manifest, threads: int) -> _Running:
    import onnxruntime

    _content(folder, manifest, GRAPH)  # the runtime reads it again: of bytes it would keep a copy beside the weights
    tokens = _content(folder, manifest, TOKENIZER)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; they are raised, too
    options.enable_mem_pattern = False  # it would keep a plan for every length of text
    options.enable_cpu_mem_arena = False  # it would keep what the longest text took
    try:
        session = onnxruntime.InferenceSession(
            str(folder / GRAPH), options, providers=["CPUExecutionProvider"], disabled_optimizers=[_SLOWER]
        )
    except Exception as error:  # noqa: BLE001  the runtime raises types of its own, some derived from nothing else
        _unusable(folder, f"{type(error).__name__}: {error}")
    try:
        tokenizer = WordPiece.parse(tokens)
    except ValueError as error:
        _unusable(folder, f"{TOKENIZER}: {error}")
    if manifest.longest <= len(tokenizer.before) + len(tokenizer.after):
        _unusable(folder, f"{MANIFEST} says longest {manifest.longest}, which leaves no room for a word")
    _check(folder, manifest, session)
    return _Running(session, tokenizer)


def _content(folder: Path, manifest: Manifest, name: str) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        _unusable(folder, f"{name}: {error}")
    if (found := hashlib.sha256(content).hexdigest()) != (expected := manifest.files[name]):
        _unusable(folder, f"{name} is cut, damaged or of another encoder: its digest is {found}, expected {expected}")
    return content


def _check(folder: Path, manifest: Manifest, session: InferenceSession) -> None:
    takes: list[Any] = [each.name for each in session.get_inputs()]
    gives: list[Any] = [(each.name, each.shape[-1:]) for each in session.get_outputs()]
    if takes != [INPUT] or gives != [(OUTPUT, [manifest.size])]:
        wanted = f"{INPUT} and gives {OUTPUT} of size {manifest.size}"
        _unusable(folder, f"{GRAPH} takes {takes} and gives {gives}; an encoder takes {wanted}")


_REMEDY = "reinstall toolweft (`pip install --force-reinstall toolweft`), or export the encoder again if it is your own"


def _unusable(folder: Path, why: str) -> NoReturn:
    raise EncoderError(f"the encoder in {str(folder)!r} cannot be used: {why}; {_REMEDY}")
