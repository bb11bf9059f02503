"""`Answer`: what a program's caller is given, and how values, files and long texts become part of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from toolweft_catalog.call import Blob, Value
from toolweft_catalog.tool import Json
from toolweft_catalog.wire import Error, Execution
from toolweft_server.questions import Round
from toolweft_server.sandbox.base import FileOut


@dataclass
class Image:
    """An image in the value, for hosts that show images."""

    mime: str
    data: bytes


@dataclass
class Answer:
    execution: Execution
    images: list[Image] = field(default_factory=list)
    asked: Round | None = None
    """Questions for a person, on which the program waits."""


def carry(value: Value, files: dict[str, FileOut], images: list[Image], execution: str) -> Json:
    """The value as JSON: each binary leaf becomes a file with an address, an image one is shown as well."""
    if isinstance(value, Blob):
        number = len(files) + 1
        while (name := f"blob-{number}{_suffix(value.mime)}") in files:
            number += 1
        files[name] = FileOut(name, value.data)
        if value.mime.startswith("image/"):
            images.append(Image(value.mime, value.data))
        return {"blob": value.mime, "size": len(value.data), "uri": file_uri(execution, name)}
    if isinstance(value, list):
        return [carry(each, files, images, execution) for each in value]
    if isinstance(value, dict):
        return {key: carry(each, files, images, execution) for key, each in value.items()}
    return value


def file_uri(execution: str, name: str) -> str:
    from urllib.parse import quote

    return f"toolweft://executions/{execution}/files/{quote(name, safe='')}"


def as_text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def cut(text: str, budget: int) -> str:
    """At most `budget` characters: the beginning and the end, since that is where reports say what they are."""
    if len(text) <= budget:
        return text
    head, tail = budget * 2 // 3, budget // 3
    return f"{text[:head]}\n… {len(text) - head - tail} characters left out …\n{text[-tail:]}"


def scrubbed(error: Error | None, scrub: Callable[[str], str]) -> Error | None:
    if error is None:
        return None
    return error.model_copy(
        update={
            "message": scrub(error.message),
            "frames": [scrub(frame) for frame in error.frames],
            "locals": {name: scrub(text) for name, text in error.locals.items()},
        }
    )


def mime_of(name: str) -> str:
    import mimetypes

    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _suffix(mime: str) -> str:
    import mimetypes

    return mimetypes.guess_extension(mime) or ".bin"


def is_long(value: Json, most: int) -> bool:
    """Whether a value has more than so many characters and elements. Looks at no more of it than that."""
    left, waiting = most, [value]
    while waiting and left >= 0:
        each = waiting.pop()
        left -= len(each) if isinstance(each, str) else 1
        if isinstance(each, list):
            waiting += each[: left + 1]
        elif isinstance(each, dict):
            left -= sum(map(len, list(each)[: left + 1]))
            waiting += list(each.values())[: left + 1]
    return left < 0
