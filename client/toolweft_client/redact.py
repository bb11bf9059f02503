"""Takes secrets out of whatever a trace is about to write or a message is about to show.

Covered: values of environment variables with telling names, and the usual shapes of keys. Not covered: a secret
that looks like an ordinary word. The server's `scrub` does the same, and more, for what passes through it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from toolweft_catalog.tool import Json

MASK = "[secret]"
SHORTEST = 8
"""A shorter value is not masked: `true`, `8080` and `prod` stand in every text."""

_TELLING = re.compile(r"(?i)(key|token|secret|passw|credential|auth)")
_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?s:.{0,20000}?)(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{6,}\.eyJ[\w-]{6,}\.[\w-]{4,}"
    r"|\b(?:sk|pk|rk)[-_](?:[a-z]{2,10}[-_])*[A-Za-z0-9_-]{16,}"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|AKIA|ASIA|AIza|hf_|npm_)[\w-]{12,}"
    r"|(?<=://)[^\s/:@'\"]{1,200}:[^\s/@'\"]{1,200}(?=@)"
    r"|(?i:\b(?:bearer|basic)\s+(?=[\w.~+/-]*\d)[\w.~+/-]{12,}=*)"
)


class Redactor:
    def __init__(self, values: Iterable[str] = ()) -> None:
        held = sorted({each for each in values if len(each) >= SHORTEST}, key=lambda each: (-len(each), each))
        self._values = re.compile("|".join(map(re.escape, held))) if held else None

    @classmethod
    def of_environment(cls) -> Redactor:
        return cls(value for name, value in os.environ.items() if _TELLING.search(name))

    def text(self, text: str) -> str:
        text = self._values.sub(MASK, text) if self._values else text
        return _SHAPES.sub(MASK, text)

    def json(self, value: Json) -> Json:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.json(each) for each in value]
        if isinstance(value, dict):
            return {self.text(key): self.json(each) for key, each in value.items()}
        return value
