"""All of generative alignment in a row: code tokens, their rows, and the three stages; out comes a `Bundle`.

Each part is usable alone (`tokens`, `rows`, `conversations`, `train`, `bundle`); this is their usual order, under one
seed. A share of what was memorised comes back in each later stage, which would erase it otherwise. With a folder, a
run that was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from toolweft_catalog.tool import Tool
from toolweft_server.training.align import checkpoint, rows, tokens
from toolweft_server.training.align.bundle import Bundle, Coded
from toolweft_server.training.align.collate import Encoder
from toolweft_server.training.align.conversations import (
    Built,
    Conversation,
    Pair,
    Trajectory,
    memorisation,
    retrieval,
    trajectories,
)
from toolweft_server.training.align.template import template_of
from toolweft_server.training.align.tokens import Code, CodeSpace
from toolweft_server.training.align.train import AlignConfig, Data, never, train
from toolweft_server.training.artefact import Artefact, codebook_digest
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.progress import Progress, silent

Stage = Literal["memorise", "retrieve", "act"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesConfig:
    memorise: AlignConfig | None = field(default_factory=partial(AlignConfig, epochs=1))
    """None leaves the stage out."""
    retrieve: AlignConfig | None = field(default_factory=AlignConfig)
    act: AlignConfig | None = field(default_factory=partial(AlignConfig, epochs=2, batch=1, accumulate=8))
    limit: int = 1024
    """Tokens of a row when memorising and retrieving."""
    act_limit: int = 6144
    """Tokens of a trajectory."""
    rows: Literal["ridge", "random"] = "ridge"
    """How code tokens begin; `random` is what the paper did."""
    both_ways: bool = True
    """Memorise code -> document, too."""
    replay: float = 0.2
    """Share of the memorised conversations that come back in each later stage."""

    def __post_init__(self) -> None:
        if not 0 <= self.replay <= 1:
            raise TrainingError(f"replay is a share from 0 to 1, not {self.replay}")
        if self.rows not in ("ridge", "random"):
            raise TrainingError(f"rows is 'ridge' or 'random', not {self.rows!r}")


class Lessons(NamedTuple):
    """What is to be learned."""

    artefact: Artefact
    """Where codes and codebook come from; made with unique codes, or several tools will share one."""
    tools: Sequence[Tool]
    pairs: Sequence[Pair] = ()
    ran: Sequence[Trajectory] = ()


class Aligned(NamedTuple):
    bundle: Bundle
    losses: Mapping[Stage, tuple[float, ...]]
    """Of each stage that had something to learn."""
    left_out: Mapping[Stage, list[str]]
    """Tools without a code, once for each time one was wanted."""
    dropped: Mapping[Stage, list[str]]
    """Conversations that did not fit into the limit."""


def align(
    config: StagesConfig,
    lessons: Lessons,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    generator: torch.Generator,
    *,
    folder: Path | None = None,
    stop: Callable[[], bool] = never,
    progress: Progress = silent,
) -> Aligned:
    """Teaches the model every tool of the artefact. Model and tokenizer are changed in place. For `stop` see `train`.

    Raises:
        KeyboardInterrupt: `stop` said so.
        TrainingError: Nothing to learn from at all, or what `train` raises.
        ArtefactError: `folder` holds checkpoints of another run.

    """
    codes = coded(lessons.artefact)
    books = [torch.from_numpy(each).double() for each in lessons.artefact.quantiser.codebook]
    largest = max((each.suffix for each in codes.values()), default=0)
    own = tokens.add(tokenizer, model, CodeSpace(tuple(map(len, books)), largest))
    seed = generator.initial_seed()
    known = [each for each in lessons.tools if each.id in codes]
    if config.rows == "ridge":
        rows.fill(
            model, tokenizer, own, codebooks=books, codes=[codes[each.id] for each in known],
            names=[f"{each.server} {each.title or each.name}" for each in known], generator=seeded(seed),
        )  # fmt: skip
    else:
        rows.fill_random(model, own, seeded(seed))
    encoder = Encoder(tokenizer, own, template_of(tokenizer), config.limit)
    spelled = {tool: own.space.spell(code) for tool, code in codes.items()}
    built = _built(config, lessons, spelled)
    losses: dict[Stage, tuple[float, ...]] = {}
    dropped: dict[Stage, list[str]] = {}
    for number, (stage, settings, taught) in enumerate(_plan(config, built, seed), start=1):
        limited = Encoder(tokenizer, own, encoder.template, config.act_limit if stage == "act" else config.limit)
        place = None if folder is None else folder / f"{number}-{stage}"
        done = train(
            settings,
            Data(model, limited, taught),
            seeded(seed + number),
            resume=None if place is None else checkpoint.latest(place),
            keep=None if place is None else partial(_keep, place),
            stop=stop,
            progress=lambda step, stage=stage: progress(step._replace(stage=stage)),  # type: ignore[misc]
        )
        model, losses[stage], dropped[stage] = done.model, done.losses, done.dropped
    if not losses:
        raise TrainingError("no stage has anything to learn: give tools, requests or trajectories")
    tools = {each.id: Coded(each.digest, codes[each.id]) for each in known}
    bundle = Bundle(
        model, encoder, tools, codebook_digest(lessons.artefact.quantiser), {"align": seed}, asdict(config)
    )  # fmt: skip
    return Aligned(bundle, losses, {stage: each.left_out for stage, each in built.items()}, dropped)


def coded(artefact: Artefact) -> dict[str, Code]:
    """The code of each tool of an artefact, by id."""
    assigned = artefact.assigned
    return {
        tool: Code(tuple(int(digit) for digit in digits), int(suffix))
        for (tool, _), digits, suffix in zip(artefact.tools, assigned.codes, assigned.suffix, strict=True)
    }


def _built(config: StagesConfig, lessons: Lessons, spelled: Mapping[str, str]) -> dict[Stage, Built]:
    by_id = {each.id: each for each in lessons.tools}
    return {
        "memorise": memorisation(lessons.tools, spelled, both_ways=config.both_ways),
        "retrieve": retrieval(lessons.pairs, spelled),
        "act": trajectories(lessons.ran, by_id, spelled),
    }


def _plan(
    config: StagesConfig, built: Mapping[Stage, Built], seed: int
) -> list[tuple[Stage, AlignConfig, list[Conversation]]]:
    """The stages that are wanted and have something to learn, with what is repeated in them."""
    held = built["memorise"].conversations
    plan: list[tuple[Stage, AlignConfig, list[Conversation]]] = []
    wanted: list[tuple[Stage, AlignConfig | None]] = [
        ("memorise", config.memorise), ("retrieve", config.retrieve), ("act", config.act),
    ]  # fmt: skip
    for stage, settings in wanted:
        taught = built[stage].conversations
        if settings is None or not taught:
            continue
        again: list[Conversation] = []
        if stage != "memorise" and config.memorise is not None:
            order = torch.randperm(len(held), generator=seeded(seed + len(plan))).tolist()
            again = [held[n] for n in order[: round(config.replay * len(held))]]
        plan.append((stage, settings, [*taught, *again]))
    return plan


def _keep(place: Path, state: checkpoint.State) -> None:
    checkpoint.save(state, place)


def seeded(seed: int) -> torch.Generator:
    """A generator of one's own; global randomness is nobody's."""
    return torch.Generator().manual_seed(seed)
