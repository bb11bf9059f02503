"""The credentials of one OpenAPI service: what goes into each request, and what must never come out again.

`auth` of the configuration entry holds a value for each security scheme of the document, by the scheme's name
(`{"api_key": "…"}`, `{"login": {"username": "…", "password": "…"}}`), or says where it goes without one:
`{"bearer": "…"}`, `{"basic": "user:password"}`, `{"header": {"X-Key": "…"}}`, `{"query": {"key": "…"}}`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

GENERIC = ("bearer", "basic", "header", "query", "cookie")
SHORTEST_SECRET = 4
"""Shorter values are not blotted out: they would hit half of every text."""
BLOT = "***"
_SECRET_HEADER = re.compile(r"key|token|secret|passw|auth|credential|cookie", re.IGNORECASE)


@dataclass
class Signature:
    """What signs one request."""

    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)


class Credentials:
    def __init__(self, auth: Mapping[str, Any] | None, headers: Mapping[str, str]) -> None:
        self._auth = dict(auth or {})
        self._secrets = sorted(
            {secret for secret in (*_texts(self._auth), *_in_headers(headers)) if len(secret) >= SHORTEST_SECRET},
            key=len,
            reverse=True,
        )

    def sign(self, alternatives: Sequence[Sequence[Mapping[str, str]]]) -> Signature:
        """Signs by the first alternative for which there are values, and by whatever names no scheme."""
        signed = Signature()
        complete = (each for each in alternatives if each and all(s["scheme"] in self._auth for s in each))
        for scheme in next(complete, ()):
            self._apply(signed, scheme["kind"], scheme["name"], self._auth[scheme["scheme"]])
        named = {scheme["scheme"] for each in alternatives for scheme in each}
        for kind in GENERIC:
            if kind in self._auth and kind not in named:
                value = self._auth[kind]
                for name, each in value.items() if isinstance(value, Mapping) and kind != "basic" else [("", value)]:
                    self._apply(signed, kind, name, each)
        return signed

    def has_any(self) -> bool:
        return bool(self._auth)

    def unknown(self, schemes: set[str]) -> list[str]:
        """Keys of `auth` that neither the document nor we know."""
        return sorted(key for key in self._auth if key not in schemes and key not in GENERIC)

    def blotted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, BLOT)
        return text

    @staticmethod
    def _apply(signed: Signature, kind: str, name: str, value: Any) -> None:
        if kind == "bearer":
            signed.headers["Authorization"] = f"Bearer {_plain(value)}"
        elif kind == "basic":
            signed.headers["Authorization"] = f"Basic {_basic(value)}"
        elif kind == "header":
            signed.headers[name] = _plain(value)
        elif kind == "query":
            signed.query[name] = _plain(value)
        elif kind == "cookie":
            signed.cookies[name] = _plain(value)


def _plain(value: Any) -> str:
    return str(value).strip()


def _basic(value: Any) -> str:
    if isinstance(value, Mapping):
        value = f"{value.get('username', '')}:{value.get('password', '')}"
    return base64.b64encode(str(value).encode("utf-8")).decode("ascii")


def _texts(value: Any, key: str = "") -> list[str]:
    """Every secret in `auth`, and the forms in which it travels."""
    if isinstance(value, Mapping):
        pair = [_basic(value)] if "password" in value else []
        return [*pair, *(each for name, inner in value.items() for each in _texts(inner, str(name)))]
    if key == "username":
        return []
    text = _plain(value)
    return [text, quote(text, safe=""), *([_basic(text)] if ":" in text else [])]


def _in_headers(headers: Mapping[str, str]) -> list[str]:
    secret = [value for name, value in headers.items() if _SECRET_HEADER.search(name)]
    return [part for value in secret for part in (value, value.split()[-1] if value.split() else "")]
