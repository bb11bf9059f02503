"""The pieces of Python type text: unions, literals, `TypedDict` blocks, names, and what types cannot say.

Everything is text in and text out; `annotation` decides which pieces a schema needs.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from toolweft_catalog.quoting import literal, one_line, quoted

MAX_LITERAL = 160
TAKEN = frozenset({
    "Any", "Blob", "Literal", "Never", "NotRequired", "TypedDict", "Optional", "Union", "True", "False", "None",
})  # fmt: skip
_WORD = re.compile(r"[A-Za-z0-9]+")


class Field(NamedTuple):
    """One key of a named type."""

    key: str
    annotation: str
    required: bool
    note: str


def typed_dict(name: str, fields: Sequence[Field], more: int = 0) -> str:
    """A `TypedDict` block. Keys stay as they are on the wire: one that is no identifier selects the call form."""
    rest = [f"    # … and {more} more"] if more > 0 else []
    notes = [f"  # {field.note}" if field.note else "" for field in fields]
    types = [field.annotation if field.required else f"NotRequired[{field.annotation}]" for field in fields]
    if all(_plain_key(field.key) for field in fields):
        lines = [f"    {f.key}: {t}{n}" for f, t, n in zip(fields, types, notes, strict=True)]
        return "\n".join([f"class {name}(TypedDict):", *lines, *rest])
    lines = [f"    {quoted(f.key)}: {t},{n}" for f, t, n in zip(fields, types, notes, strict=True)]
    return "\n".join([f"{name} = TypedDict({quoted(name)}, {{", *lines, *rest, "})"])


def union(parts: Iterable[str]) -> str:
    """`A | B | None`: each once, `None` last, literals gathered; `Any` swallows the rest."""
    kept: dict[str, None] = {}
    none = False
    for part in parts:
        none = none or part == "None" or part.endswith(" | None")
        kept[part.removesuffix(" | None")] = None
    if "Any" in kept:
        return "Any"
    literals = [part for part in kept if part.startswith("Literal[") and part.find("]") == len(part) - 1]
    gathered = f"Literal[{', '.join(part[8:-1] for part in literals)}]"
    found = [part for part in kept if part not in {"None", "Never", *literals[1:]}]
    found = [gathered if part in literals else part for part in found]
    return " | ".join([*found, *(["None"] if none else [])]) or "Never"


def note(schema: object, limit: int = 600) -> str:
    """One line for a person: the description, then what the annotation cannot say."""
    if not isinstance(schema, Mapping):
        return ""
    said = [one_line(schema.get("description"), limit), *facts(schema)]
    return one_line("; ".join(part for part in said if part), limit)


def facts(schema: Mapping[str, object]) -> list[str]:
    """Format, range, pattern and long enumerations of `schema`, a short phrase each."""
    found = [
        f"{word} {text}"
        for key, word in _FACTS.items()
        if key in schema
        and isinstance(value := schema[key], str | int | float)
        and not isinstance(value, bool)
        and (text := one_line(value, 60) if isinstance(value, str) else literal(value, 30))
    ]
    given = schema.get("enum")
    options = given if isinstance(given, list) else []
    if options and not literals(options).startswith("Literal["):
        shown = [text for each in options[:30] if (text := literal(each, 40)) is not None]
        found.append(f"one of {', '.join(shown)}{', …' if len(shown) < len(options) else ''}")
    return found


_FACTS = {
    "format": "format", "contentEncoding": "encoded as", "contentMediaType": "media type", "pattern": "pattern",
    "minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above", "exclusiveMaximum": "below",
    "multipleOf": "a multiple of", "minLength": "min length", "maxLength": "max length",
    "minItems": "min items", "maxItems": "max items",
}  # fmt: skip


def type_name(raw: str) -> str:
    """A class name close to `raw`: `issue_comments` -> `IssueComments`."""
    name = "".join(word[0].upper() + word[1:] for word in _WORD.findall(raw[:80])[:6])[:40]
    if not name or name[0].isdigit():
        name = "T" + name
    return name + "_" if name in TAKEN or keyword.iskeyword(name) else name


def literals(options: Sequence[object]) -> str:
    """`Literal[…]`, or the plain types of the options where they are too long or no literals."""
    texts: list[str] = []
    for each in options[:100]:
        text = literal(each, MAX_LITERAL) if each is None or isinstance(each, bool | int | str) else None
        if text is None or sum(map(len, texts)) > MAX_LITERAL:
            break
        texts.append(text)
    joined = ", ".join(dict.fromkeys(texts))
    if len(texts) == len(options) and len(joined) <= MAX_LITERAL:
        return "None" if joined == "None" else f"Literal[{joined}]"
    return union(_type_of(each) for each in options[:1_000])


def _type_of(value: object) -> str:
    for kind, text in ((bool, "bool"), (int, "int"), (float, "float"), (str, "str")):
        if isinstance(value, kind):
            return text
    if value is None:
        return "None"
    return "list[Any]" if isinstance(value, list) else "dict[str, Any]"


def _plain_key(key: str) -> bool:
    return key.isascii() and key.isidentifier() and not keyword.iskeyword(key) and not key.startswith("__")
