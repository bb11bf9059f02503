"""A JSON or YAML text from a stranger into plain values: objects, lists, texts, numbers, booleans, null.

Guards: YAML's tags make nothing but plain values, its dates stay texts, aliases cannot multiply a small text into a
large value, and nesting is bounded, so that whoever walks the value may recurse. Keys are always texts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from toolweft_catalog.tool import Json

if TYPE_CHECKING:
    import yaml

VALUES_LIMIT = 3_000_000
"""Values in a document with its aliases written out; the largest public descriptions have a few hundred thousand."""

DEPTH = 150
"""Levels of nesting: a deeper one would end in Python's recursion limit, or in a crash of the fast YAML loader."""

_WORDS = {"tag:yaml.org,2002:timestamp": "", "tag:yaml.org,2002:bool": "tTfF"}
"""Implicit YAML types that are narrowed: dates are none, and of the booleans `true` and `false` alone remain."""


def load(document: object) -> dict[str, Json]:
    """The object that a text, its bytes or a parsed value is.

    Raises:
        ValueError: It is no JSON and no YAML, too deep, too large, or no object.

    """
    if isinstance(document, bytes):
        document = document.decode("utf-8-sig")
    if isinstance(document, str):
        document = _parsed(document.removeprefix("\ufeff"))
    if not isinstance(document, dict):
        raise ValueError(f"the document is {type(document).__name__}, not an object")
    _check_depth(document)
    return document


def _check_depth(document: Json) -> None:
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > DEPTH:
            raise ValueError(f"the document is nested more than {DEPTH} levels deep")
        level = [
            each
            for value in level
            if isinstance(value, dict | list)
            for each in (value.values() if isinstance(value, dict) else value)
        ]


def _parsed(text: str) -> Any:
    try:
        if text.lstrip()[:1] == "{":
            try:
                return json.loads(text)
            except json.JSONDecodeError:
                return _yaml(text)  # YAML's flow style starts the same way
        return _yaml(text)
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None


def _yaml(text: str) -> Any:
    import yaml

    loader = None
    try:
        _check_events(text)
        loader = _loader()(text)
        node = loader.get_single_node()
        if node is None:
            raise ValueError("the document is empty")
        _check(node)
        return _plain(loader.construct_document(node))
    except yaml.YAMLError as error:
        raise ValueError(f"the document is neither JSON nor YAML: {_line(error)}") from error
    finally:
        if loader is not None:
            loader.dispose()


def _check_events(text: str) -> None:
    """Reads the text without building anything: the fast loader builds by recursion in C, which no limit stops."""
    import yaml

    depth = 0
    for event in yaml.parse(text, _loader()):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise ValueError(f"the document is nested more than {DEPTH} levels deep")


def _loader() -> type[yaml.SafeLoader]:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """The fast loader where the library was built with it: the other one takes minutes for megabytes."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, how) for tag, how in resolvers if first in _WORDS.get(tag, first or "")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _check(root: yaml.Node) -> None:
    """Counts the values with every alias written out, without writing it out."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in open_nodes:
            raise ValueError("the document contains itself through an alias")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            sizes[id(node)] = 1 + sum(size(child) for child in _children(node))
            open_nodes.discard(id(node))
        return sizes[id(node)]

    if size(root) > VALUES_LIMIT:
        raise ValueError(f"the document has more than {VALUES_LIMIT} values when its aliases are written out")


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node.value, str):
        return []
    return [each for item in node.value for each in (item if isinstance(item, tuple) else (item,))]


def _plain(value: Any) -> Json:
    if isinstance(value, dict):
        return {_key(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _key(key: object) -> str:
    """Response codes are written as numbers, `true` and `null` happen."""
    return key if isinstance(key, str) else json.dumps(key) if isinstance(key, bool) or key is None else str(key)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
