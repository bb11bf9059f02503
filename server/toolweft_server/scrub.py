"""`Scrubber`: takes secrets out of whatever is about to be written down.

Covered: the values that the configuration passes to servers (environment, headers), and the usual shapes of tokens,
private keys, passwords in texts and under telling keys. Not covered: a secret that looks like an ordinary word and
stands in no configuration; a secret cut in two or encoded. It lowers the harm of a leak, it proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from toolweft_catalog.call import Value
from toolweft_catalog.tool import Json

MASK = "[secret]"

SHORTEST = 6
"""A configured value shorter than this is not masked: `true`, `8080` and `prod` stand in every text."""

# Each pattern is bounded and starts at something rare, so that megabytes of hostile text cost linear time.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("private key", r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:[^-]|-(?!----)){0,20000}"
                    r"(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"),
    ("JSON web token", r"\beyJ[\w-]{6,}\.eyJ[\w-]{6,}\.[\w-]{4,}"),
    ("API key", r"\bsk-[\w-]{16,}|\b[spr]k_(?:live|test)_\w{10,}"),
    ("GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"),
    ("GitLab token", r"\bglpat-[\w-]{16,}"),
    ("AWS key id", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("Slack token", r"\bxox[abeoprs]-[\w-]{10,}"),
    ("Google key", r"\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}"),
    ("access token", r"\b(?:hf_|npm_|dop_v1_|shpat_)[A-Za-z0-9]{20,}"),
    ("credentials in a URL", r"(?<=://)[^\s/:@'\"]{1,200}:[^\s/@'\"]{1,200}(?=@)"),
    ("authorization", r"\b[Bb](?:earer|EARER)\s+[\w.~+/-]{12,}=*"),
    ("authorization", r"\b[Bb](?:asic|ASIC)\s+(?=[A-Za-z+/]{0,200}[0-9=])[\w+/-]{8,}=*"),
)  # fmt: skip

_KEY = (
    r"(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token"
    r"|private[_-]?key|client[_-]?secret)"
)
_ASSIGNED = re.compile(rf"""(?i)({_KEY}["']?\s{{0,9}}[:=]\s{{0,9}})(["'])((?:(?!\2)[^\n\\]|\\.){{3,500}})\2""")
_BARE = re.compile(rf"""(?i)({_KEY}=)(?!["'{{\[(])([^\s&;,"'()\[\]{{}}]{{3,500}})(?![(\w.\[])""")
_TELLING = re.compile(rf"(?i)(?:^|[_\-. ]){_KEY}$|^(?:authorization|cookie|set-cookie|token)$")


class Found(NamedTuple):
    """A secret in a text: what kind it looks like, and where it starts."""

    kind: str
    at: int


class Scrubber:
    """Masks secrets in texts and JSON. Immutable and thread-safe; the same input always gives the same output."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        """`values` are the configured secrets themselves: environment and header values of servers."""
        held = sorted({v.strip() for v in values if len(v.strip()) >= SHORTEST}, key=lambda v: (-len(v), v))
        self._values = re.compile("|".join(re.escape(v) for v in held)) if held else None
        self._patterns = tuple((kind, re.compile(pattern)) for kind, pattern in _PATTERNS)

    def text(self, text: str) -> str:
        """`text` with every secret replaced, and in a form that any file can hold (lone surrogates written out)."""
        if not text.isascii():
            text = text.encode("utf-8", "backslashreplace").decode("utf-8")
        if self._values is not None:
            text = self._values.sub(MASK, text)
        for _, pattern in self._patterns:
            text = pattern.sub(MASK, text)
        text = _ASSIGNED.sub(lambda m: f"{m[1]}{m[2]}{MASK}{m[2]}", text)
        return _BARE.sub(lambda m: f"{m[1]}{MASK}", text)

    def json(self, value: Json) -> Json:
        """The same for a JSON value: its strings and keys, and any string under a key such as `password`."""
        scrubbed: Json = self._any(value)
        return scrubbed

    def value(self, value: Value) -> Value:
        """The same for what a call returns; bytes are left alone."""
        scrubbed: Value = self._any(value)
        return scrubbed

    def find(self, text: str) -> Found | None:
        """The first secret in `text`, for those who refuse it and do not mend it."""
        hits = [Found("configured secret", m.start())] if self._values and (m := self._values.search(text)) else []
        hits += [Found(kind, m.start()) for kind, pattern in self._patterns if (m := pattern.search(text))]
        hits += [Found("password", m.start()) for m in _ASSIGNED.finditer(text) if m[3] != MASK]
        hits += [
            Found("password", m.start()) for m in _BARE.finditer(text) if not (m[2] == MASK or m[2].isidentifier())
        ]
        return min(hits, key=lambda hit: hit.at, default=None)

    def _any(self, value: Any) -> Any:
        """One walk serves `Json` and `Value`: the type checker cannot see that a mask changes no other type."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._any(each) for each in value]
        if isinstance(value, dict):
            return {self.text(key): self._entry(key, each) for key, each in value.items()}
        return value

    def _entry(self, key: str, value: Any) -> Any:
        return MASK if isinstance(value, str) and value and _TELLING.search(key) else self._any(value)
