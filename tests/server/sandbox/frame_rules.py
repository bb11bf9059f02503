"""What a child's frame may be, written down a second time and differently: by looking, with nothing taken apart.

Says only which bodies are *allowed*; the product must refuse at least everything else.
"""

import base64
import json
import unicodedata

KEYS = {
    "hello": {"version", "guarded"},
    "call": {"c", "f", "a", "k"},
    "describe": {"c", "f"},
    "function": {"c", "name", "version"},
    "save": {"c", "name"},
    "file": {"name", "data"},
    "done": {"id", "status", "value", "b", "repr", "error", "limits"},
}
OPTIONAL = {"version", "value", "b", "repr", "error"}
"""May be left out: then as if they were null (no blobs, for `b`)."""


def allowed(body: bytes, *, arguments: int) -> bool:
    frame = _read(body)
    if not isinstance(frame, dict) or frame.get("kind") not in list(KEYS) or _depth(frame) > 100:
        return False
    kind = frame["kind"]
    if not KEYS[kind] >= frame.keys() - {"kind"} >= (KEYS[kind] - (OPTIONAL if kind != "hello" else set())):
        return False
    if kind in {"call", "describe", "function", "save"} and not _request(kind, frame, len(body), arguments):
        return False
    match kind:
        case "hello":
            return type(frame["version"]) is int and type(frame["guarded"]) is bool
        case "file":
            return _is_path(frame["name"]) and _is_base64(frame["data"])
        case "done":
            return _is_end(frame)
    return True


def _read(body: bytes) -> object:
    def pairs(items):
        return dict(items)

    def refuse(_):
        raise ValueError

    try:
        text = body.decode("utf-8")
        frame = json.loads(text, parse_constant=refuse, object_pairs_hook=pairs)
        # No float that has overflowed; half of a surrogate pair counts as a question mark.
        frame = json.loads(json.dumps(frame, allow_nan=False, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return frame


def _depth(node: object) -> int:
    deepest, todo = 0, [(node, 1)]
    while todo:
        each, depth = todo.pop()
        if isinstance(each, dict | list):
            deepest = max(deepest, depth)
            todo += [(child, depth + 1) for child in (each.values() if isinstance(each, dict) else each)]
    return deepest


def _request(kind, frame, size, arguments):
    name = frame["f" if kind in {"call", "describe"} else "name"]
    fits = type(frame["c"]) is int and 1 <= frame["c"] <= 2**53 - 1 and size <= arguments + 64 * 1024
    named = type(name) is str and 1 <= len(name) <= 300
    rest = {
        "call": lambda: type(frame["a"]) is list and type(frame["k"]) is dict,
        "function": lambda: frame.get("version") is None or type(frame["version"]) is int,
    }
    return fits and named and rest.get(kind, lambda: True)()


def _is_path(name):
    if type(name) is not str:
        return False
    parts = name.split("/")
    return len(parts) <= 16 and all(
        1 <= len(part) <= 200 and part not in {".", ".."} and "\\" not in part and not steers(part) for part in parts
    )


def steers(text: str, *, lines: bool = False) -> bool:
    """Whether it has a control character, a separator of lines, a change of direction or a lone surrogate."""
    return any(
        unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(c) in _TURNS
        for c in text
        if not (lines and c in "\n\t")
    )


_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def _is_base64(text):
    try:
        return type(text) is str and (base64.b64decode(text, validate=True) is not None)
    except ValueError:
        return False


def _is_end(frame):
    error = frame.get("error")
    plain = (
        type(frame["id"]) is str
        and frame["status"] in ("ok", "error")
        and (error is None) == (frame["status"] == "ok")
        and type(frame.get("repr", None)) in (str, type(None))
        and _are_texts(frame["limits"])
    )
    return plain and (error is None or _is_error(error)) and _blobs_fit(frame.get("value"), frame.get("b", []))


def _is_error(error):
    keys = {"type", "message", "line", "frames", "locals", "hint"}
    return (
        type(error) is dict
        and keys >= error.keys() >= keys - {"line", "hint"}
        and type(error["type"]) is type(error["message"]) is str
        and type(error.get("line")) in (int, type(None))
        and type(error.get("hint")) in (str, type(None))
        and _are_texts(error["frames"])
        and type(error["locals"]) is dict
        and _are_texts(list(error["locals"].values()))
    )


def _are_texts(values):
    return type(values) is list and all(type(each) is str for each in values)


def _blobs_fit(value, blobs):
    taken = []
    if type(blobs) is not list:
        return False
    for blob in blobs:
        if type(blob) is not list or len(blob) != 3 or type(blob[0]) is not list or type(blob[1]) is not str:
            return False
        path, mime, data = blob
        kind, slash, sub = mime.partition("/")
        legal = all(1 <= len(each) <= 60 and all(_mime_character(c) for c in each) for each in (kind, sub))
        if not (slash and legal and _is_base64(data) and len(path) < 100 and path not in taken):
            return False
        taken.append(path)
        node = value
        for step in path:
            inside = (type(node) is dict and type(step) is str and step in node) or (
                type(node) is list and type(step) is int and 0 <= step < len(node)
            )
            if not inside:
                return False
            node = node[step]
        if node is not None:
            return False
    return True


def _mime_character(c):
    return c.isascii() and (c.isalnum() or c in "_.+-")
