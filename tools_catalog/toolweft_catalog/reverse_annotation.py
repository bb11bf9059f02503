"""The AST of a Python annotation -> JSON Schema. Reads, never runs: a name it cannot see into is `{}`, anything.

Classes of the same source that hold typed fields (`TypedDict`, dataclass, pydantic model, `NamedTuple`), enums and
aliases become `$defs`. `reverse` uses this for functions; the other direction is `annotation`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence

from toolweft_catalog.parsing import parse
from toolweft_catalog.tool import Json

MAX_DEPTH = 30
MAX_NODES = 20_000
"""Annotations and classes read for one source; beyond that everything is `{}`."""

Found = dict[str, Json]
"""A JSON Schema under construction."""

_PLAIN: dict[str, Found] = {
    "str": {"type": "string"}, "int": {"type": "integer"}, "float": {"type": "number"}, "bool": {"type": "boolean"},
    "None": {"type": "null"}, "NoneType": {"type": "null"}, "list": {"type": "array"}, "dict": {"type": "object"},
    "tuple": {"type": "array"}, "set": {"type": "array", "uniqueItems": True},
    "datetime": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"}, "time": {"type": "string", "format": "time"},
    "UUID": {"type": "string", "format": "uuid"}, "Path": {"type": "string"}, "Decimal": {"type": "number"},
    "Never": {"not": {}},
}  # fmt: skip
_SAME = {
    "List": "list", "Sequence": "list", "Iterable": "list", "Collection": "list", "Dict": "dict", "Mapping": "dict",
    "MutableMapping": "dict", "Tuple": "tuple", "Set": "set", "AbstractSet": "set",
    "frozenset": "set", "FrozenSet": "set",
}  # fmt: skip
_SEE_THROUGH = frozenset({"Annotated", "Required", "NotRequired", "ReadOnly", "Final", "Awaitable", "Optional"})
_RECORDS = frozenset({"TypedDict", "BaseModel", "NamedTuple"})
_ENUMS = frozenset({"Enum", "StrEnum", "IntEnum"})


class Annotations:
    """Reads annotations against the classes and aliases of one module. `defs` grows as they are used."""

    def __init__(self, module: ast.Module) -> None:
        self.defs: dict[str, Json] = {}
        self._known: dict[str, ast.ClassDef | ast.expr] = {}
        self._depth = 0
        self._left = MAX_NODES
        for node in module.body:
            match node:
                case ast.ClassDef(name=name):
                    self._known[name] = node
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._known[name] = value
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    self._known[name] = value

    def schema(self, node: ast.expr | None) -> Found:
        """The schema of one annotation; `{}` for none, and for what is not understood."""
        self._left -= 1
        if node is None or self._depth >= MAX_DEPTH or self._left <= 0:
            return {}
        self._depth += 1
        try:
            return self._schema(node)
        finally:
            self._depth -= 1

    def _schema(self, node: ast.expr) -> Found:
        match node:
            case ast.Constant(value=None):
                return dict(_PLAIN["None"])
            case ast.Constant(value=str(text)):
                return self._forward(text)
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return self._name(name)
            case ast.BinOp(op=ast.BitOr()):
                return self._union(list(_operands(node)))
            case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
                return self._generic(name, inner.elts if isinstance(inner, ast.Tuple) else [inner])
            case ast.Dict():
                return self._inline(node)
            case _:
                return {}

    def _forward(self, text: str) -> Found:
        try:
            return self.schema(parse(text, mode="eval").body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return {}

    def _name(self, name: str) -> Found:
        known = self._known.get(name)
        if known is None:
            return dict(_PLAIN.get(_SAME.get(name, name), {}))
        if name not in self.defs:
            self.defs[name] = {}
            found = self._defined(known)
            if found is None:
                del self.defs[name]
                return {}
            self.defs[name] = found
        return {"$ref": f"#/$defs/{name}"}

    def _defined(self, node: ast.ClassDef | ast.expr) -> Found | None:
        if isinstance(node, ast.ClassDef):
            return self._class(node)
        match node:
            case ast.Call(func=made, args=[_, ast.Dict() as fields]) if "TypedDict" in _names(made):
                total = not any(k.arg == "total" and literal(k.value) is False for k in node.keywords)
                pairs = zip(fields.keys, fields.values, strict=True)
                named = [(key.value, value) for key, value in pairs if isinstance(key, ast.Constant)]
                return self._record([(str(key), value, total) for key, value in named])
            case ast.Call(func=made, args=[_, inner]) if "NewType" in _names(made):
                return self.schema(inner)
            case ast.Subscript() | ast.BinOp() | ast.Name() | ast.Attribute():
                return self.schema(node) or None
            case _:
                return None

    def _class(self, node: ast.ClassDef) -> Found | None:
        bases = {base.id if isinstance(base, ast.Name) else base.attr for base in node.bases
                 if isinstance(base, ast.Name | ast.Attribute)}  # fmt: skip
        if bases & _ENUMS:
            values = [literal(each.value) for each in node.body if isinstance(each, ast.Assign)]
            return {"enum": [each for each in values if not isinstance(each, Unreadable)]}
        marks = {part for each in node.decorator_list for part in _names(each)}
        total = not any(k.arg == "total" and literal(k.value) is False for k in node.keywords)
        inherited = [known for base in sorted(bases) if isinstance(known := self._known.get(base), ast.ClassDef)]
        if not (bases & _RECORDS or "dataclass" in marks or inherited) or self._depth >= MAX_DEPTH or self._left <= 0:
            return None
        self._left -= 1
        self._depth += 1
        parents = [found for parent in inherited if parent is not node and (found := self._class(parent))]
        self._depth -= 1
        return merged([*parents, self._record(list(_fields(node, total)))])

    def _record(self, fields: Sequence[tuple[str, ast.expr, bool]]) -> Found:
        properties: dict[str, Json] = {}
        required: list[Json] = []
        for key, node, needed in fields:
            marks = set(_names(node.value)) if isinstance(node, ast.Subscript) else set()
            properties[key] = self.schema(node)
            if "Required" in marks or (needed and "NotRequired" not in marks):
                required.append(key)
        found: Found = {"type": "object", "properties": properties}
        return {**found, "required": required} if required else found

    def _inline(self, node: ast.Dict) -> Found:
        """The notation of `shape.annotation`: `{"id": int, "body?": str, **dict[str, T]}`."""
        fields: list[tuple[str, ast.expr, bool]] = []
        rest: Found | None = None
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                rest = self.schema(value)
            elif isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value != "...":
                fields.append((key.value.removesuffix("?"), value, not key.value.endswith("?")))
        found = self._record(fields)
        return found if rest is None else {**found, "additionalProperties": rest.get("additionalProperties", True)}

    def _generic(self, name: str, inner: Sequence[ast.expr]) -> Found:
        name = _SAME.get(name, name)
        if name == "Literal":
            return {"enum": [each for each in map(literal, inner) if not isinstance(each, Unreadable)]}
        if name in {"Union", "Optional"}:
            return self._union([*inner, ast.Constant(None)] if name == "Optional" else inner)
        if name in _SEE_THROUGH:
            return self._annotated(inner) if name == "Annotated" else self.schema(inner[0])
        make: dict[str, Callable[[Sequence[ast.expr]], Found]] = {
            "list": self._list, "set": self._list, "dict": self._dict, "tuple": self._tuple,
        }  # fmt: skip
        return {**_PLAIN[name], **make[name](inner)} if name in make and inner else self._name(name)

    def _annotated(self, inner: Sequence[ast.expr]) -> Found:
        found = self.schema(inner[0])
        said = [each.value for each in inner[1:] if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        return {**found, "description": said[0]} if said else found

    def _list(self, inner: Sequence[ast.expr]) -> Found:
        items = self.schema(inner[0])
        return {"items": items} if items else {}

    def _dict(self, inner: Sequence[ast.expr]) -> Found:
        values = self.schema(inner[1]) if len(inner) > 1 else {}
        return {"additionalProperties": values} if values else {}

    def _tuple(self, inner: Sequence[ast.expr]) -> Found:
        if isinstance(inner[-1], ast.Constant) and inner[-1].value is ...:
            return self._list(inner)
        items: list[Json] = [self.schema(each) for each in inner]
        return {"prefixItems": items, "minItems": len(items), "maxItems": len(items)}

    def _union(self, parts: Sequence[ast.expr]) -> Found:
        found: list[Found] = []
        for each in parts:
            one = self.schema(each)
            if not one:
                return {}
            if one not in found:
                found.append(one)
        return found[0] if len(found) == 1 else {"anyOf": [*found]}


class Unreadable:
    """Stands for a value that is no JSON literal."""


def literal(node: ast.expr) -> Json | Unreadable:
    """The JSON value that `node` writes out; a tuple counts as a list."""
    try:
        return _json(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return Unreadable()


def _json(value: object) -> Json:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [_json(each) for each in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {key: _json(each) for key, each in value.items()}
        case _:
            raise ValueError(f"{type(value).__name__} is no JSON")


def merged(records: Sequence[Found]) -> Found:
    """One record with the fields of all, later ones over earlier ones."""
    properties: dict[str, Json] = {}
    required: dict[str, Json] = {}
    for each in records:
        given, needed = each.get("properties"), each.get("required")
        properties |= given if isinstance(given, dict) else {}
        required |= {str(key): key for key in needed} if isinstance(needed, list) else {}
    found: Found = {"type": "object", "properties": properties}
    return {**found, "required": list(required.values())} if required else found


def _fields(node: ast.ClassDef, total: bool) -> Iterator[tuple[str, ast.expr, bool]]:
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            kind = each.annotation.value if isinstance(each.annotation, ast.Subscript) else each.annotation
            if "ClassVar" not in _names(kind):
                yield each.target.id, each.annotation, total and each.value is None


def _names(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            yield name
        case ast.Call(func=inner):
            yield from _names(inner)


def _operands(node: ast.expr) -> Iterator[ast.expr]:
    """The parts of `a | b | c`, left to right, without recursion: a hostile source may chain thousands."""
    parts: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        parts.append(node.right)
        node = node.left
    yield from (node, *reversed(parts))
