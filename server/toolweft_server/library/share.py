"""Functions as Agent-Skills folders: `SKILL.md` for readers, `functions.py` the code, `function.json` the facts.

Where the calls that it was proven on are still kept, a test comes with it (`recorded`). Importing does not run it, nor
keep it.

Export writes only what the library knows. Import trusts nothing: sizes, kinds of files, names, syntax, that the code
has the content address that the folder gives, and uses exactly the tools and functions that it admits to. Covered: code
that runs when it is loaded, links that lead elsewhere, secrets. Not covered: what the function does when it is called.
That is policy's business, and the reason why an imported function is a candidate until a person trusts it.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolweft_catalog.parsing import parse
from toolweft_catalog.tool import digest
from toolweft_catalog.wire import FunctionCard
from toolweft_server.errors import LibraryError
from toolweft_server.library.extract import SOURCE, Extracted, extract
from toolweft_server.library.function import Function, bad_name, impersonal, normalised
from toolweft_server.scrub import Scrubber

if TYPE_CHECKING:
    from toolweft_server.library.recorded import Recorded

SKILL, CODE, FACTS, RECORD = "SKILL.md", "functions.py", "function.json", "recorded.json"
LARGEST = {SKILL: 400_000, CODE: SOURCE, FACTS: 400_000, RECORD: 2_000_000}
"""Bytes read of each file at most."""
FOLDERS = 500
"""Functions imported from one folder at most."""
IMPORTED = "In `execute_code`, once imported (`toolweft functions import`)"
"""Where a function of a folder can be called."""

_TITLE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_TOOL = r"^[A-Za-z_][A-Za-z0-9_]{0,127}\.[A-Za-z_][A-Za-z0-9_]{0,255}$"
_HEX = r"^[0-9a-f]{32}$"


_Text = Annotated[str, Field(max_length=20_000)]


class Facts(BaseModel):
    """`function.json`."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    format: Literal[1]
    name: Annotated[str, Field(max_length=64)]
    version: Annotated[int, Field(ge=1)] = 1
    signature: _Text = ""
    description: _Text = ""
    digest: Annotated[str, Field(pattern=_HEX)]
    content: Annotated[str, Field(pattern=_HEX)]
    """Content address: the digest of the text of `functions.py`."""
    recorded: Annotated[str, Field(pattern=_HEX)] | None = None
    """The same of `recorded.json`, where there is a test."""
    tools: dict[Annotated[str, Field(pattern=_TOOL)], Annotated[str, Field(pattern=_HEX)]] = Field(max_length=200)
    functions: dict[Annotated[str, Field(max_length=64)], int] = Field(default_factory=dict, max_length=200)
    provenance: dict[str, Any] = Field(default_factory=dict)


class Shared(BaseModel):
    """A folder that passed every check."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    facts: Facts
    found: Extracted


def export(function: Function, into: Path, recorded: Recorded | None = None) -> Path:
    """Writes a function as a folder below `into`, in one step; the folder. An earlier export of it is replaced.

    With what was `recorded` of it, a test that pytest runs comes along.

    Raises:
        LibraryError: The folder cannot be written, or something else stands there.

    """
    target = into / title(function.name)
    try:
        into.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(target, function.name)
        scratch = Path(tempfile.mkdtemp(dir=into, prefix=".export-"))
        try:
            for name, text in _files(function, recorded).items():
                (scratch / name).write_text(text, encoding="utf-8", newline="\n")
            scratch.chmod(0o755)
            if target.exists():
                shutil.rmtree(target)
            scratch.replace(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise LibraryError(f"{str(target)!r} cannot be written: {error.strerror or error}") from error
    return target


def _files(function: Function, recorded: Recorded | None) -> dict[str, str]:
    test = f"test_{title(function.name).replace('-', '_')}.py"
    told = facts(function) | ({"recorded": address(recorded.text)} if recorded else {})
    tests = {test: recorded.test, RECORD: recorded.text} if recorded else {}
    return {
        SKILL: skill(function, test if recorded else None), CODE: function.source,
        FACTS: json.dumps(told, indent=2) + "\n", **tests,
    }  # fmt: skip


def title(name: str) -> str:
    """The name as the format wants it: lower case, words joined by single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "function"


def facts(function: Function | FunctionCard) -> dict[str, Any]:
    return {
        "format": 1, "name": function.name, "version": function.version, "signature": function.signature,
        "description": function.description, "digest": normalised(function.source, function.name),
        "tools": dict(function.tools),
        "functions": dict(function.functions), "content": address(function.source),
        "provenance": impersonal(function.provenance),
    }  # fmt: skip


def address(code: str) -> str:
    """The content address of a function: equal wherever and whenever its text is, line endings aside."""
    return digest(code.replace("\r\n", "\n"))


def front_matter(function: Function | FunctionCard) -> dict[str, str]:
    """What hosts index, as in `SKILL.md`."""
    about = " ".join(function.description.split()) or f"Python function {function.name}{function.signature}"
    # Nothing is left in it that YAML takes for unprintable.
    return {"name": title(function.name), "description": _cut("".join(c for c in about if c.isprintable()), 1000)}


def skill(function: Function | FunctionCard, test: str | None = None, *, where: str = IMPORTED) -> str:
    """`SKILL.md`: the front matter that hosts index, then what a model needs to use the function, and `where`."""
    tested = f" `pytest {test}` runs it against its recorded calls, without a tool." if test else ""
    # JSON text is YAML too; without its quotes, a function called `null` would have no name.
    held = front_matter(function).items()
    head = "\n".join(["---", *(f"{key}: {json.dumps(text, ensure_ascii=False)}" for key, text in held), "---\n"])
    uses = "".join(f"- `{each}`\n" for each in (*function.tools, *(f"functions.{n}" for n in function.functions)))
    return (
        f"{head}\n# {function.name}\n\n"
        f"A reusable function of toolweft. {where}:\n\n"
        f"```python\nfunctions.{function.name}{function.signature}\n```\n\n"
        f"{function.description.strip()}\n\n## What it calls\n\n{uses or 'No tool.'}\n\n"
        f"The code is in `{CODE}`, its facts in `{FACTS}`.{tested}\n"
    )


def folders(path: Path) -> Iterator[Path]:
    """The skill folders at `path`: itself, or those right below it.

    Raises:
        LibraryError: There is none, or there are too many.

    """
    if not path.is_dir():
        raise LibraryError(f"{str(path)!r} is not a folder. Name one with {SKILL}, or one that holds such folders.")
    found = [path] if (path / FACTS).exists() else sorted(each.parent for each in path.glob(f"*/{FACTS}"))
    if not found:
        raise LibraryError(f"{str(path)!r} holds no function: no {FACTS} in it or right below it.")
    if len(found) > FOLDERS:
        raise LibraryError(f"{str(path)!r} holds {len(found)} functions; {FOLDERS} at a time is the most.")
    yield from found


def read(folder: Path, *, scrub: Scrubber) -> Shared:
    """Reads and checks one exported folder. Runs nothing of it.

    Raises:
        LibraryError: What is wrong with it.

    """
    try:
        held = {name: _bounded(folder / name, LARGEST[name]) for name in (SKILL, CODE, FACTS)}
        told = Facts.model_validate_json(held[FACTS])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise LibraryError(f"{str(folder)!r}: {FACTS} is wrong at {where}: {first['msg']}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise LibraryError(f"{str(folder)!r} cannot be read: {error}.") from error
    try:
        if address(held[CODE]) != told.content:
            raise LibraryError(f"{CODE} is not the text that {FACTS} describes: its content address is another one")
        if told.recorded is not None and address(_bounded(folder / RECORD, LARGEST[RECORD])) != told.recorded:
            raise LibraryError(f"{RECORD} is not the text that {FACTS} describes: its content address is another one")
        _check_front_matter(held[SKILL])
        return Shared(facts=told, found=_checked(told, held[CODE], scrub))
    except LibraryError as error:
        raise LibraryError(f"{str(folder)!r} was refused: {error}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise LibraryError(f"{str(folder)!r} cannot be read: {error}.") from error


def of_card(card: FunctionCard, *, scrub: Scrubber) -> Shared:
    """The same checks for a function as another toolweft shows it.

    Raises:
        LibraryError: What is wrong with it.

    """
    try:
        if len(card.source) > SOURCE:
            raise LibraryError(f"its source is longer than {SOURCE} characters")
        _check_inert(card.source)
        told = Facts(
            format=1, name=card.name, version=card.version, digest=normalised(card.source, card.name),
            content=address(card.source), tools=card.tools, functions=card.functions,
            provenance=impersonal(card.provenance),
        )  # fmt: skip
        return Shared(facts=told, found=_checked(told, card.source, scrub))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LibraryError(f"{card.name[:80]!r} was refused: its {where} is wrong: {first['msg']}.") from error
    except LibraryError as error:
        raise LibraryError(f"{card.name[:80]!r} was refused: {error}.") from error


def _checked(told: Facts, code: str, scrub: Scrubber) -> Extracted:
    if reason := bad_name(told.name):
        raise LibraryError(reason)
    _check_inert(code)
    if secret := scrub.find(code):
        raise LibraryError(f"{CODE} holds what looks like a secret ({secret.kind})")
    servers = {each.split(".", 1)[0] for each in told.tools}
    result = extract(code, servers=servers, save=[told.name])
    for each in result.rejected:
        if each.name == told.name:
            raise LibraryError(each.reason)
    found = next(each for each in result.functions if each.name == told.name)
    _check_same("tools", set(found.tools), set(told.tools))
    _check_same("saved functions", set(found.functions), set(told.functions))
    return found


def _check_same(what: str, used: set[str], told: set[str]) -> None:
    if used - told:
        raise LibraryError(f"the code uses {what} that {FACTS} does not name: {', '.join(sorted(used - told)[:5])}")
    if told - used:
        raise LibraryError(f"{FACTS} names {what} that the code does not use: {', '.join(sorted(told - used)[:5])}")


def _check_inert(code: str) -> None:
    """Refuses whatever would do something when the code is loaded and nothing is called yet."""
    try:
        tree = parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise LibraryError(f"{CODE} is not Python: {error}") from error
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr) else None
        with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            if value is not None:
                ast.literal_eval(value)
                continue
        raise LibraryError(f"line {node.lineno} of {CODE} does something by itself; only definitions may stand there")


def _check_front_matter(page: str) -> None:
    import yaml

    found = re.match(r"---\r?\n(.{0,20000}?)\r?\n---\r?\n", page, re.DOTALL)
    try:
        held = yaml.safe_load(found[1]) if found else None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise LibraryError(f"the front matter of {SKILL} is not YAML") from error
    if not isinstance(held, Mapping):
        raise LibraryError(f"{SKILL} has no front matter")
    name, about = held.get("name"), held.get("description")
    if not (isinstance(name, str) and len(name) <= 64 and _TITLE.fullmatch(name)):
        raise LibraryError(f"{SKILL} has the name {str(name)[:80]!r}; it must be at most 64 of a-z, 0-9 and hyphens")
    if not (isinstance(about, str) and 0 < len(about) <= 1024):
        raise LibraryError(f"{SKILL} needs a description of 1 to 1024 characters")


def _bounded(path: Path, most: int) -> str:
    """The text of a plain file that is no link and no larger than `most`."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink():
        raise OSError(f"{path.name} is a link")
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path.name} is not a plain file")
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(f"{path.name} is larger than {most} bytes")
    return data.decode("utf-8")


def _refuse_foreign(target: Path, name: str) -> None:
    if not target.exists() and not target.is_symlink():
        return
    try:
        ours = not target.is_symlink() and json.loads(_bounded(target / FACTS, LARGEST[FACTS])).get("name") == name
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise LibraryError(f"{str(target)!r} exists and is no export of {name!r}. Move it away or export elsewhere.")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
