"""`Bundle`: a trained model with all that must fit it: tokenizer, template, code space, the tools and their codes.

One folder: what `transformers` writes (safetensors, never pickles), and `align.json`, which names every file by its
digest, the codebook and the trie that the codes are from, and the prompts that the model was trained with. What does
not fit is refused, and both sides are named.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from toolweft_server.index.woven.trie import END, Trie
from toolweft_server.training.align import lm
from toolweft_server.training.align.collate import Encoder
from toolweft_server.training.align.template import ChatTemplate, PlainTemplate
from toolweft_server.training.align.tokens import Code, CodeSpace, held
from toolweft_server.training.errors import ArtefactError, TrainingError
from toolweft_server.training.progress import no_bars

FORMAT = 1
MANIFEST = "align.json"


class Coded(NamedTuple):
    """A tool as the model knows it."""

    digest: str
    """`Tool.digest` when it was trained: a tool that changed since is another one."""
    code: Code


@dataclass(frozen=True, eq=False)
class Bundle:
    model: PreTrainedModel
    encoder: Encoder
    tools: Mapping[str, Coded]
    """By id; several may share one code."""
    codebook: str
    """Digest of the codebook that the codes are from (`artefact.codebook_digest`)."""
    seeds: Mapping[str, int] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    """What it was trained with; for people, not read back."""

    @cached_property
    def trie(self) -> Trie:
        """The codes of all tools; rows are the tools in the order of their ids."""
        codes = [self.tools[each].code for each in sorted(self.tools)]
        rows = [[*code.digits, code.suffix or END] for code in codes]
        width = len(self.encoder.tokens.space.sizes) + 1
        return Trie.build(np.array(rows, np.int32).reshape(len(rows), width))

    def save(self, folder: Path) -> None:
        """Writes it into `folder`, whole: what stands there is replaced at the end.

        Raises:
            OSError: The folder cannot be written.

        """
        making = folder.with_name(f".{folder.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        with no_bars():
            self.model.save_pretrained(making)
        self.encoder.tokenizer.save_pretrained(making)
        space = self.encoder.tokens.space
        manifest = {
            "format": FORMAT,
            "files": {each.name: _digest(each.read_bytes()) for each in sorted(making.iterdir())},
            "sizes": space.sizes,
            "suffixes": space.suffixes,
            "template": "chat" if isinstance(self.encoder.template, ChatTemplate) else "plain",
            "limit": self.encoder.limit,
            "prompts": prompts_digest(),
            "codebook": self.codebook,
            "trie": self.trie.digest,
            "tools": {name: [each.digest, space.spell(each.code)] for name, each in sorted(self.tools.items())},
            "seeds": dict(self.seeds),
            "config": dict(self.config),
        }
        (making / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        making.replace(folder)


def load(folder: Path, *, codebook: str | None = None, device: str = "cpu") -> Bundle:
    """The bundle in `folder`, for use with `codebook` when it is given. The device `auto` is a GPU if there is one.

    Raises:
        ArtefactError: Missing, cut, damaged, of another format, trained with other prompts or another codebook.

    """
    manifest = _manifest(folder)
    for name, said in manifest["files"].items():
        _same(folder, f"the digest of {name}", _digest(_bytes(folder, name)), said)
    _same(folder, "the digest of the prompts", prompts_digest(), manifest["prompts"])
    _same(folder, "the codebook", codebook or manifest["codebook"], manifest["codebook"])
    try:
        with no_bars():
            model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        space = CodeSpace(tuple(manifest["sizes"]), manifest["suffixes"])
        template = ChatTemplate(tokenizer) if manifest["template"] == "chat" else PlainTemplate.of(tokenizer)
        encoder = Encoder(tokenizer, held(tokenizer, space), template, manifest["limit"])
        tools = {name: Coded(digest, space.read(code)) for name, (digest, code) in manifest["tools"].items()}
    except (OSError, KeyError, TypeError, ValueError, TrainingError) as error:
        _unusable(folder, f"its parts do not fit together: {type(error).__name__}: {error}")
    if len(lm.embeddings(model)) <= max(encoder.tokens.ids):
        _unusable(folder, f"the model has {len(lm.embeddings(model))} words, too few for the code tokens")
    bundle = Bundle(model, encoder, tools, manifest["codebook"], manifest["seeds"], manifest["config"])
    nn.Module.to(model, ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    model.train(mode=False)
    _same(folder, "the trie", bundle.trie.digest, manifest["trie"])
    return bundle


def prompts_digest() -> str:
    """32 hex digits over every prompt that a model is trained with."""
    files = resources.files(__package__).joinpath("prompts").iterdir()
    texts = sorted((each.name, each.read_text(encoding="utf-8")) for each in files if each.name.endswith(".md"))
    return _digest(json.dumps(texts).encode())[:32]


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(f"no trained model in {str(folder)!r}: run `toolweft train lm`") from None
    except (OSError, ValueError) as error:
        _unusable(folder, f"{MANIFEST}: {error}")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        written = manifest.get("format") if isinstance(manifest, dict) else None
        _unusable(folder, f"it is of format {written!r}, and this version reads format {FORMAT}")
    missing = {"files", "prompts", "codebook", "sizes", "tools", "trie", "seeds", "config"} - set(manifest)
    if missing:
        _unusable(folder, f"{MANIFEST} says nothing of {sorted(missing)}")
    return manifest


def _same(folder: Path, what: str, ours: str, theirs: str) -> None:
    if ours != theirs:
        _unusable(folder, f"{what} is {ours}, and it was made with {theirs}")


def _bytes(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        _unusable(folder, f"{name}: {error}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _unusable(folder: Path, why: str) -> NoReturn:
    raise ArtefactError(f"the trained model in {str(folder)!r} cannot be used: {why}; train it again")
