"""Fifty small tools with codes, requests for them, and a tiny model that has never seen them. Needs torch."""

from __future__ import annotations

from typing import NamedTuple

import torch

import tiny_lm
from toolweft_catalog.tool import Tool
from toolweft_server.training.align import rows, tokens
from toolweft_server.training.align.collate import Encoder
from toolweft_server.training.align.conversations import Pair, document, prompt
from toolweft_server.training.align.template import template_of

VERBS = ["open", "close", "list", "rename", "archive", "share", "copy", "count", "check", "export"]
THINGS = ["ticket", "photo", "invoice", "meeting", "song"]
ASKS = ["please {verb} the {thing} for me", "I want to {verb} one {thing} today"]


class World(NamedTuple):
    tools: list[Tool]
    codes: dict[str, tokens.Code]
    pairs: list[Pair]
    codebooks: list[torch.Tensor]


def tool(server: str, verb: str) -> Tool:
    schema = {"type": "object", "properties": {"id": {"type": "string", "description": f"which {server}"}}}
    return Tool(id=f"{server}.{verb}", name=verb, server=server, description=f"{verb} a {server}.", parameters=schema)


def world_of() -> World:
    """The things are the first level, the verbs the second."""
    tools = [tool(thing, verb) for thing in THINGS for verb in VERBS]
    codes = {
        each.id: tokens.Code((THINGS.index(each.server), VERBS.index(each.name)), 0 if n else 1)
        for n, each in enumerate(tools)
    }
    pairs = [
        Pair(f"{each.id}-{n}", ask.format(verb=each.name, thing=each.server), [each.id])
        for each in tools
        for n, ask in enumerate(ASKS)
    ]
    noise = torch.Generator().manual_seed(5)
    books = [torch.randn(len(THINGS), 8, generator=noise), 0.3 * torch.randn(len(VERBS), 8, generator=noise)]
    return World(tools, codes, pairs, books)


SPACE = tokens.CodeSpace((len(THINGS), len(VERBS)), suffixes=1)


class Made(NamedTuple):
    model: object
    tokens: tokens.CodeTokens
    encoder: Encoder
    spelled: dict[str, str]


def make_for(world: World):
    """A maker of fresh models with code tokens, and of what encodes conversations for them."""

    def made(*, chat: bool = False, limit: int = 256, init: str = "ridge", **shape) -> Made:
        texts = [document(each) for each in world.tools] + [pair.request for pair in world.pairs]
        texts += [prompt("retrieve", request=""), prompt("memorise", document="")]
        tokenizer = tiny_lm.tokenizer_of(texts, chat=chat)
        model = tiny_lm.model_of(len(tokenizer), **shape)
        own = tokens.add(tokenizer, model, SPACE)
        generator = torch.Generator().manual_seed(11)
        if init == "ridge":
            rows.fill(
                model,
                tokenizer,
                own,
                codebooks=world.codebooks,
                codes=list(world.codes.values()),
                names=[f"{each.server} {each.name}" for each in world.tools],
                generator=generator,
            )
        else:
            rows.fill_random(model, own, generator)
        spelled = {key: SPACE.spell(code) for key, code in world.codes.items()}
        return Made(model, own, Encoder(tokenizer, own, template_of(tokenizer), limit), spelled)

    return made
