"""The configuration: one JSON file, read and validated once, here.

It is a superset of what hosts write, so a `.mcp.json`, a `claude_desktop_config.json` or a VS Code `mcp.json` works
unchanged. A broken entry costs itself alone and becomes a `Problem`; a file that cannot be understood as a whole is
a `ConfigError`. Nothing is ever written here.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from toolweft_catalog.tool import digest
from toolweft_server.errors import ConfigError
from toolweft_server.index.settings import IndexEntry
from toolweft_server.policy import Policy
from toolweft_server.sandbox.e2b.settings import E2BEntry

OURS = ("mcpServers", "servers", "openapi", "python", "policy", "limits", "sandbox", "store", "index")
HOSTS = frozenset({"inputs", "globalShortcut", "preferences", "$schema", "scale", "locale", "userThemeMode"})
"""Top-level keys that hosts write and we pass over. In a file with no key of ours but the servers, any other is too."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_SECRET_WORD = re.compile(
    r"(?:^|[_\-.])(?:(?:api|access|private|secret)?_?keys?|tokens?|secrets?|\w*pass(?:wd|word|phrase)?|pwd|pat|auth|"
    r"authorization|bearer|credentials?|cookies?)(?:$|[_\-.])",
    re.IGNORECASE,
)
"""Names whose values are secrets, as whole words: `API_KEY` and `PGPASS` are, `GIT_AUTHOR_NAME` is not."""
MIN_SECRET = 6
"""Shorter values are not scrubbed: they would match half of every text."""


class _Entry(BaseModel):
    """Hosts add keys of their own to an entry (`disabled`, `gallery`, `alwaysAllow` …): ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    timeout: float = Field(default=60.0, gt=0)
    """Seconds for one call."""


class McpEntry(_Entry):
    """An MCP server: a command to start, or a URL."""

    command: str | None = None
    args: list[str] = Field(default_factory=list)
    env: dict[str, str] = Field(default_factory=dict)
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    start_timeout: float = Field(default=30.0, gt=0)
    idle: float = Field(default=600.0, gt=0)
    """Seconds without a call after which it is stopped."""
    concurrency: int | None = Field(default=None, ge=1)
    """Calls side by side, whatever they do. Unset: 8 for read-only tools, one at a time for all others."""


class OpenApiEntry(_Entry):
    model_config = ConfigDict(extra="forbid", frozen=True)

    spec: str
    """Path or URL of the OpenAPI document."""
    base_url: str | None = None
    auth: dict[str, Any] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    concurrency: int | None = Field(default=None, ge=1)


class PythonEntry(_Entry):
    model_config = ConfigDict(extra="forbid", frozen=True)

    module: str
    concurrency: int | None = Field(default=None, ge=1)


Entry = McpEntry | OpenApiEntry | PythonEntry
Kind = Literal["mcp", "openapi", "python"]
_MODELS: Mapping[Kind, type[McpEntry | OpenApiEntry | PythonEntry]] = {
    "mcp": McpEntry,
    "openapi": OpenApiEntry,
    "python": PythonEntry,
}


Backend = Literal[
    "auto", "namespaces", "bwrap", "chroot", "landlock", "monty", "seatbelt", "e2b", "unsafe-process"
]  # fmt: skip


class SandboxEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Backend = "auto"
    packages: list[str] = Field(default_factory=list)
    """Names and versions of packages that programs may import beside the standard library."""
    warm: int = Field(default=1, ge=0, le=16)
    """Processes that wait for the next program, from the first one on."""
    eager: bool = False
    """Start them with the server already, so that the first program waits no longer than the others."""
    e2b: E2BEntry = Field(default_factory=E2BEntry)

    @property
    def waiting(self) -> int:
        """`warm`; in the cloud none unless it is written: what waits there costs money."""
        return 0 if self.backend == "e2b" and "warm" not in self.model_fields_set else self.warm

    @field_validator("packages")
    @classmethod
    def _names_and_versions(cls, packages: list[str]) -> list[str]:
        if not packages:
            return []
        from toolweft_server.sandbox.packages import requirements

        return requirements(packages)


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that is left out, and why; `skipped` when that is as it should be."""

    server: str
    message: str
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    path: Path | None
    store: Path
    servers: Mapping[str, Entry] = field(default_factory=dict)
    """Every usable entry by name, `${…}` expanded. Names are unique over the three kinds."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Digest of each entry as written, before expansion: a changed one has its manifest read again."""
    policy: Policy = field(default_factory=Policy)
    limits: Mapping[str, float] = field(default_factory=dict)
    sandbox: SandboxEntry = field(default_factory=SandboxEntry)
    index: IndexEntry = field(default_factory=IndexEntry)
    problems: tuple[Problem, ...] = ()
    secrets: tuple[str, ...] = ()
    """Values that must not appear in anything written or answered."""


def default_path() -> Path:
    import platformdirs

    return Path(platformdirs.user_config_dir("toolweft", appauthor=False)) / "toolweft.json"


def default_store() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("toolweft", appauthor=False)) / "toolweft.db"


def load(path: str | Path | None = None, *, environ: Mapping[str, str] | None = None) -> Config:
    """Reads the configuration at `path`, or at the default place, where having none is fine.

    Raises:
        ConfigError: The file is missing (when asked for by name), unreadable, not JSON, or has a part that cannot
            be what its writer meant.

    """
    environ = os.environ if environ is None else environ
    chosen = Path(path).expanduser() if path is not None else default_path()
    if path is None and not chosen.is_file():
        return parse({}, path=None, environ=environ)
    try:
        text = chosen.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration at {str(chosen)!r}; check --config, or create the file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration {str(chosen)!r} cannot be read: {error}") from error
    try:
        document = json.loads(plain_json(text)) if text.strip() else {}
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"the configuration {str(chosen)!r} is not JSON: {error}") from error
    return parse(document, path=chosen, environ=environ)


def parse(document: object, *, path: Path | None, environ: Mapping[str, str]) -> Config:
    """Turns a parsed document into a `Config`.

    Raises:
        ConfigError: See `load`.

    """
    where = f"the configuration {str(path)!r}" if path else "the configuration"
    if not isinstance(document, dict):
        raise ConfigError(f"{where} must be a JSON object, not {type(document).__name__}")
    _check_keys(document, where)
    reader = _Reader(where, environ)
    for key, kind in (("mcpServers", "mcp"), ("servers", "mcp"), ("openapi", "openapi"), ("python", "python")):
        reader.section(document.get(key), key, kind)  # type: ignore[arg-type]
    folder = path.parent if path else Path.cwd()
    return Config(
        path=path,
        store=_store(document.get("store"), folder, reader),
        servers=reader.servers,
        digests=reader.digests,
        policy=Policy.parse(document.get("policy"), where=where),
        limits=_limits(document.get("limits"), where),
        sandbox=_sandbox(document.get("sandbox"), where, reader),
        index=_index(document.get("index"), where, folder, reader),
        problems=tuple(reader.problems),
        secrets=tuple(sorted(reader.secrets, key=len, reverse=True)),
    )


def _check_keys(document: Mapping[str, object], where: str) -> None:
    is_ours = any(key in document for key in OURS if key not in ("mcpServers", "servers"))
    for key in document:
        if key in OURS or key in HOSTS:
            continue
        near = difflib.get_close_matches(key, OURS, n=1, cutoff=0.75)
        if near or is_ours or len(document) == 1:
            hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(OURS)}"
            raise ConfigError(f"{where} has an unknown key {key!r}; {hint}")


class _Reader:
    """Collects entries, problems and secrets while the sections are read."""

    def __init__(self, where: str, environ: Mapping[str, str]) -> None:
        self.where, self.environ = where, environ
        self.servers: dict[str, Entry] = {}
        self.digests: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.secrets: set[str] = set()

    def section(self, section: object, key: str, kind: Kind) -> None:
        if section is None:
            return
        if not isinstance(section, dict):
            raise ConfigError(f"{self.where}: {key!r} must be an object of named entries, not {section!r:.80}")
        for name, entry in section.items():
            self.entry(name, entry, kind)

    def entry(self, name: str, entry: object, kind: Kind) -> None:
        if not name.strip() or name == "functions":
            self._problem(name, "this name is not available; choose another one")
        elif name in self.servers:
            self._problem(name, "this name is used twice; the first entry is kept, rename the second")
        elif not isinstance(entry, dict):
            self._problem(name, f"an entry must be an object, not {entry!r:.80}")
        elif entry.get("disabled") is True:
            self._problem(name, "disabled in the configuration", skipped=True)
        elif starts_toolweft(entry):
            self._problem(name, "this entry starts toolweft itself", skipped=True)
        else:
            self._usable(name, entry, kind)

    def _usable(self, name: str, entry: dict[str, Any], kind: Kind) -> None:
        try:
            expanded = self.expand(entry)
            self._secrets_in(expanded if isinstance(expanded, dict) else {})
            parsed = _MODELS[kind].model_validate(expanded)
        except ConfigError as error:
            return self._problem(name, str(error))
        except ValidationError as error:
            return self._problem(name, _first(error))
        if isinstance(parsed, McpEntry) and (parsed.command is None) == (parsed.url is None):
            return self._problem(name, "an MCP server needs either a 'command' to start or a 'url', and not both")
        self.servers[name] = parsed
        self.digests[name] = digest(entry)
        return None

    def _problem(self, server: str, message: str, *, skipped: bool = False) -> None:
        self.problems.append(Problem(server, message, skipped))

    def expand(self, value: object, key: str = "") -> object:
        if isinstance(value, dict):
            return {name: self.expand(each, str(name)) for name, each in value.items()}
        if isinstance(value, list):
            return [self.expand(each, key) for each in value]
        if not isinstance(value, str):
            return value
        expanded = _VARIABLE.sub(lambda match: self._variable(match.group(1)), value)
        if names_secret(key):
            self.secret(expanded)
        return expanded

    def secret(self, value: str) -> None:
        """Keeps a value for scrubbing, and its words: `Bearer abc` is also sent as `abc`."""
        self.secrets.update(part for part in (value, *value.split()) if len(part) >= MIN_SECRET and part != "Bearer")

    def _secrets_in(self, entry: Mapping[str, Any]) -> None:
        """Secrets that stand where no key names them: after `--api-key`, in `--token=…`, in a URL."""
        words = [word for word in entry.get("args") or [] if isinstance(word, str)]
        for option, value in zip(words, [*words[1:], ""][: len(words)], strict=True):
            name, has_value, inline = option.lstrip("-").partition("=")
            if option.startswith("-") and names_secret(name):
                self.secret(inline if has_value else value)
        if isinstance(url := entry.get("url"), str):
            parts = urlsplit(url)
            for name, value in [("password", parts.password or ""), *parse_qsl(parts.query)]:
                if names_secret(name):
                    self.secret(value)

    def _variable(self, inside: str) -> str:
        name, has_default, default = inside.partition(":-")
        if inside.startswith("input:"):
            raise ConfigError(
                f"'${{{inside}}}' asks the host for a value, which only the host can do; "
                "put the value into an environment variable and write ${NAME}"
            )
        found = self.environ.get(name.removeprefix("env:"))
        if found is None and not has_default:
            raise ConfigError(f"the environment variable {name!r} is not set; set it, or write ${{{name}:-default}}")
        value = found if found else default if has_default else (found or "")
        if names_secret(name):
            self.secret(value)
        return value

    def expand_text(self, text: str) -> str:
        return str(self.expand(text))


def names_secret(name: str) -> bool:
    """Whether a variable, header, option or key of that name holds a secret."""
    return _SECRET_WORD.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)) is not None


def starts_toolweft(entry: Mapping[str, Any]) -> bool:
    """Whether an entry would start this program again, endlessly."""
    words = [str(entry.get("command", "")), *(str(a) for a in entry.get("args") or [] if isinstance(a, str))]
    names = {Path(word.replace("\\", "/")).name.removesuffix(".exe") for word in words}
    return ("toolweft" in names and "serve" in names) or "toolweft_catalog.cli" in words


def _store(value: object, folder: Path, reader: _Reader) -> Path:
    if value is None:
        return default_store()
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{reader.where}: 'store' must be the path of a SQLite file, not {value!r:.80}")
    text = reader.expand_text(value)
    if "://" in text:
        kind = text.split("://", 1)[0]
        raise ConfigError(f"{reader.where}: 'store' is a {kind} URL; only a SQLite file path is supported so far")
    return (folder / Path(text).expanduser()).resolve()


SERVER_LIMITS: Mapping[str, float] = {"answer": 45.0, "manifest_wait": 5.0, "text": 20_000}
"""Limits that are the server's: seconds until a running program answers `waiting` (hosts give up at about 60 s),
seconds that `find_tools` waits for manifests still being read, characters of output a model is shown."""


def _limits(value: object, where: str) -> dict[str, float]:
    from toolweft_server.sandbox.limits import Limits

    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: 'limits' must be an object, not {value!r:.80}")
    known = {*Limits.names(), *SERVER_LIMITS}
    for name, number in value.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(f"{where}: unknown limit {name!r}; known are {', '.join(near or sorted(known))}")
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number < 1e12:
            raise ConfigError(f"{where}: limit {name!r} must be a positive number, not {number!r:.80}")
    return dict(value)


def _sandbox(value: object, where: str, reader: _Reader) -> SandboxEntry:
    try:
        entry = SandboxEntry.model_validate(value if value is not None else {})
    except ValidationError as error:
        raise ConfigError(f"{where}: 'sandbox' {_first(error)}") from None
    reader.secret(reader.environ.get(entry.e2b.key_env, ""))
    return entry


def _index(value: object, where: str, folder: Path, reader: _Reader) -> IndexEntry:
    try:
        return IndexEntry.model_validate({} if value is None else reader.expand(value)).beside(folder)
    except ValidationError as error:
        raise ConfigError(f"{where}: 'index' {_first(error)}") from None


def _first(error: ValidationError) -> str:
    """The first complaint in one line. The value is not shown: it may be a credential."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place + ': ' if place else ''}{first['msg'][0].lower()}{first['msg'][1:]}"


def plain_json(text: str) -> str:
    """JSON without the comments and trailing commas that editors allow in their settings files."""
    token = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|,(?=(?:\s|//[^\n]*|/\*.*?\*/)*[}\]])', re.DOTALL)
    return token.sub(lambda match: match.group(0) if match.group(0)[0] == '"' else " ", text)
