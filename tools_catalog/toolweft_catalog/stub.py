"""A `Tool` as Python text: one line for a list of matches, a stub for whoever is about to call it.

Everything that strangers wrote goes through `quoting`: a stub always parses, whatever the tool says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from toolweft_catalog.names import identifier
from toolweft_catalog.parameter import Parameter, Signature, signature
from toolweft_catalog.quoting import docstring, literal, one_line, plain
from toolweft_catalog.shape import Shape, annotation
from toolweft_catalog.tool import Tool
from toolweft_catalog.typetext import note

MAX_SHOWN = 80
"""Parameters written out; further ones are counted."""
MAX_DEFINITIONS = 12_000
"""Characters of type definitions in one stub."""
WIDTH = 100
"""A `def` line longer than this has one parameter a line, in a full stub."""


def call_line(tool: Tool, *, call_name: str | None = None, shape: Shape | None = None, limit: int = 160) -> str:
    """`github.create_issue(title: str, body: str = "", *, labels: list[str] = …) -> Issue`, at most `limit` characters.

    What does not fit becomes `…`: the result first, then optional parameters from the end, then the annotations of
    required ones; their names go last.
    """
    made = signature(tool, shape=shape)
    name = one_line(call_name or tool.id, 120)
    returns = [made.returns] if len(made.returns) <= 60 or shape is None else [made.returns, annotation(shape, 60)]
    for text in _lines(name, made, returns):
        if len(text) <= limit:
            return text
    return f"{name}(…)"[: max(limit - 1, 0)] + "…" if len(name) + 3 > limit else f"{name}(…)"


def _lines(name: str, made: Signature, returns: Sequence[str]) -> Iterator[str]:
    """The line in ever shorter forms."""
    shown = made.parameters[:MAX_SHOWN]
    required = [each for each in shown if each.required]
    whole = ["…"] if len(made.parameters) > len(shown) else _star_star(made)
    for each in returns:
        yield f"{name}({', '.join([*_arguments(shown, '…', 40), *whole])}) -> {each}"
    end = f" -> {returns[-1]}" if len(returns[-1]) <= 40 else ""
    for count in range(len(shown) - 1, len(required) - 1, -1):
        yield f"{name}({', '.join([*_arguments(shown[:count], '…', 40), '…'])}){end}"
    more = ["…"] if len(required) < len(made.parameters) else []
    yield f"{name}({', '.join([*_arguments(required, '…', 40), *more])})"
    for count in range(len(required), 0, -1):
        rest = ["…"] if count < len(made.parameters) else []
        yield f"{name}({', '.join([*(each.name for each in required[:count]), *rest])})"


def stub(
    tool: Tool,
    *,
    detail: Literal["signature", "full"],
    call_name: str | None = None,
    shape: Shape | None = None,
) -> str:
    """Python text that describes `tool` and always parses.

    `signature` is the `def` line with one line of docstring; `full` adds the types, each parameter and the result.
    """
    made = signature(tool, shape=shape)
    called = one_line(call_name or tool.id, 120)
    name = identifier(called.rsplit(".", 1)[-1])
    said = one_line(tool.summary or tool.title or "", 160)
    if detail == "signature":
        return f"{_def(name, made, wrap=False)}\n    {docstring(_first(called, said))}\n    ..."
    blocks = [*_definitions(made), f"{_def(name, made, wrap=True)}\n{_documented(tool, made, called, shape)}\n    ..."]
    return "\n\n".join(blocks)


def _def(name: str, made: Signature, *, wrap: bool) -> str:
    shown = made.parameters[:MAX_SHOWN]
    tail = ["**more: Any"] if len(made.parameters) > len(shown) else _star_star(made)
    parts = [*_arguments(shown, "...", 200), *tail]
    line = f"def {name}({', '.join(parts)}) -> {made.returns}:"
    if wrap and parts and len(line) > WIDTH:
        inner = "".join(f"    {part},\n" for part in parts[:-1]) + f"    {parts[-1]}\n"
        return f"def {name}(\n{inner}) -> {made.returns}:"
    return line


def _star_star(made: Signature) -> list[str]:
    if made.extra is None:
        return []
    used = {each.name for each in made.parameters}
    name = next(each for each in ("extra", "extra_arguments", *(f"extra_{n}" for n in range(len(used) + 1)))
                if each not in used)  # fmt: skip
    return [f"**{name}: {made.extra}"]


def _arguments(parameters: Sequence[Parameter], unstated: str, limit: int) -> Iterator[str]:
    starred = False
    for each in parameters:
        if each.keyword_only and not starred:
            starred = True
            yield "*"
        text = f"{each.name}: {each.annotation}"
        default = None if each.default is ... else literal(each.default, limit)
        yield text if each.required else f"{text} = {default or unstated}"


def _definitions(made: Signature) -> Iterator[str]:
    left = MAX_DEFINITIONS
    for count, block in enumerate(made.definitions):
        left -= len(block)
        if left < 0:
            yield f"# … and {len(made.definitions) - count} more types"
            return
        yield block


def _first(called: str, said: str) -> str:
    return f"{called}: {said}" if said else f"{called}."


def _documented(tool: Tool, made: Signature, called: str, shape: Shape | None) -> str:
    """The docstring of a full stub, indented."""
    described = plain(tool.description or tool.title or "").strip()
    parts = [_first(called, described)]
    if arguments := list(_argument_lines(made)):
        parts.append("Args:\n" + "\n".join(arguments))
    if result := _result_line(tool, made, shape):
        parts.append(f"Returns:\n    {result}")
    text = "\n\n".join(parts)
    lines = [line.rstrip() for line in text.split("\n")]
    whole = "\n".join([lines[0], *(f"    {line}" if line else "" for line in lines[1:])])
    return f"    {docstring(whole if len(lines) == 1 else whole + chr(10) + '    ')}"


def _argument_lines(made: Signature) -> Iterator[str]:
    for each in made.parameters[:MAX_SHOWN]:
        renamed = "" if each.name == each.original else f"sent as {literal(one_line(each.original, 80))}"
        unsaid = each.default is not ... and (each.required or literal(each.default) is None)
        default = f"default {one_line(literal(each.default, 400) or '…', 400)}" if unsaid else ""
        said = "; ".join(part for part in (each.description, renamed, default) if part)
        if said:
            yield f"    {each.name}: {said}"
    if len(made.parameters) > MAX_SHOWN:
        yield f"    more: {len(made.parameters) - MAX_SHOWN} further parameters"


def _result_line(tool: Tool, made: Signature, shape: Shape | None) -> str:
    declared = note(tool.output) if tool.output is not None else ""
    if shape is None:
        return declared
    seen = annotation(shape, 600)
    observed = f"Observed so far: {seen}" if seen not in {made.returns, "Any"} else ""
    if not observed and tool.output is None:
        observed = "As observed so far."
    return "; ".join(part for part in (declared, observed) if part)
