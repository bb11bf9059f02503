"""Which concrete parts a configuration asks for: upstreams and the sandbox. `app` joins them, `doctor` tries them."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from toolweft_catalog import bundled
from toolweft_catalog.tool import digest
from toolweft_server.config import Config, Entry, McpEntry, OpenApiEntry, PythonEntry
from toolweft_server.index.generative_kind import GenerativeKind
from toolweft_server.index.saved import SavedIndex
from toolweft_server.index.woven.kind import WovenKind
from toolweft_server.live import IndexKind
from toolweft_server.sandbox import platforms
from toolweft_server.sandbox.base import Sandbox
from toolweft_server.sandbox.choose import ChosenSandbox
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.packages import Environment
from toolweft_server.upstream.base import Upstream
from toolweft_server.upstream.http import HttpUpstream
from toolweft_server.upstream.mcp import Elicit, HttpEntry, McpUpstream, StdioEntry
from toolweft_server.upstream.python import PythonUpstream


def sandbox_of(config: Config) -> ChosenSandbox:
    """What runs programs. A backend that the configuration names is the only one tried."""
    wanted = config.sandbox
    named = wanted.backend != "auto"
    tiers = (wanted.backend,) if named else platforms.order(sys.platform)

    def make(tier: str, packages: Environment | None) -> Sandbox:
        return _tier(tier, packages, config)

    # In the cloud the template brings its packages, and Monty can import none.
    here = [] if wanted.backend in ("e2b", "monty") else wanted.packages
    return ChosenSandbox(tiers, make, named=named, packages=here, configuration=wanted.model_dump(mode="json"))


def _tier(tier: str, packages: Environment | None, config: Config) -> Sandbox:
    """Each backend's library is imported only where it is used."""
    match tier:
        case "namespaces" | "chroot" | "landlock":
            from toolweft_server.sandbox.backends.linux import LinuxSandbox

            return LinuxSandbox(tier, packages=packages)
        case "bwrap":
            from toolweft_server.sandbox.backends.bwrap import BwrapSandbox

            return BwrapSandbox(packages=packages)
        case "seatbelt":
            from toolweft_server.sandbox.backends.seatbelt import SeatbeltSandbox

            return SeatbeltSandbox(packages=packages)
        case "monty":
            from toolweft_server.sandbox.backends.monty import MontySandbox

            return MontySandbox()
        case "e2b":
            from toolweft_server.sandbox.backends.e2b import E2BSandbox

            wanted = config.sandbox
            return E2BSandbox(wanted.e2b, state_folder=config.store.parent, packages=wanted.packages)
        case "unsafe-process":
            from toolweft_server.sandbox.backends.local import UnsafeProcess

            return UnsafeProcess(packages=packages)
    raise ValueError(f"there is no sandbox backend {tier!r}")


def index_of(config: Config, store: Path) -> IndexKind:
    """How `find_tools` ranks. `store` is the path of the store; what the index keeps lies beside it."""
    saved = SavedIndex.beside(store)
    match config.index.kind:
        case "woven":
            return WovenKind(saved, without=config.index.without)
        case "lexical":
            return saved
        case "generative":
            assert config.index.model is not None
            return GenerativeKind(saved, Path(config.index.model), device=config.index.device)


def sandbox_limits(config: Config) -> Limits:
    own: dict[str, Any] = {name: value for name, value in config.limits.items() if name in Limits.names()}
    whole = {each for each, value in vars(Limits).items() if isinstance(value, int)}
    return Limits(**{name: int(value) if name in whole else value for name, value in own.items()})


READS = 8
"""Calls side by side of an HTTP service, unless configured."""


def upstreams_of(config: Config, elicit: Elicit | None = None) -> tuple[dict[str, Upstream], dict[str, str]]:
    """Every configured upstream by name, with its entry's digest; the everyday tools when there is none.

    `elicit` answers what MCP servers ask of a person.
    The digest covers the local file that an entry names, too, so that an edited one is read at the next start.
    """
    upstreams = {name: _upstream(name, entry, config, elicit) for name, entry in config.servers.items()}
    if upstreams:
        return upstreams, {name: _digest(config, name) for name in upstreams}
    modules = bundled.modules()
    own: dict[str, Upstream] = {name: PythonUpstream(name, module=module) for name, module in modules.items()}
    return own, {name: digest(["bundled", module, *_mark(_file_of(module))]) for name, module in modules.items()}


def _upstream(name: str, entry: Entry, config: Config, elicit: Elicit | None) -> Upstream:
    # Hosts start us anywhere: what an entry names relatively lies beside the configuration.
    folder = config.path.parent.resolve() if config.path else None
    if isinstance(entry, OpenApiEntry):
        return HttpUpstream(
            name, document_source=_beside(folder, entry.spec), base_url=entry.base_url, auth=entry.auth,
            headers=entry.headers, timeout=entry.timeout, max_concurrency=entry.concurrency or READS,
        )  # fmt: skip
    if isinstance(entry, PythonEntry):
        module = _beside(folder, entry.module) if entry.module.endswith(".py") else entry.module
        return PythonUpstream(name, module=module, timeout=entry.timeout)
    assert isinstance(entry, McpEntry)
    if entry.url is not None:
        how: StdioEntry | HttpEntry = HttpEntry(entry.url, entry.headers)
    else:
        cwd = entry.cwd or (str(folder) if folder else None)
        how = StdioEntry(entry.command or "", tuple(entry.args), entry.env, cwd)
    return McpUpstream(
        name, config=how, start_timeout=entry.start_timeout, call_timeout=entry.timeout, idle=entry.idle, elicit=elicit
    )


def _digest(config: Config, name: str) -> str:
    entry, folder = config.servers[name], config.path.parent.resolve() if config.path else None
    file: Path | None = None
    if isinstance(entry, PythonEntry):
        by_path = entry.module.endswith(".py")
        file = Path(_beside(folder, entry.module)).expanduser() if by_path else _file_of(entry.module)
    elif isinstance(entry, OpenApiEntry) and "://" not in entry.spec:
        file = Path(_beside(folder, entry.spec)).expanduser()
    given = config.digests[name]
    return digest([given, *mark]) if (mark := _mark(file)) else given


def _mark(file: Path | None) -> list[int]:
    """What changes when the file does; nothing when there is none."""
    try:
        found = file.stat() if file else None
    except (OSError, ValueError):
        return []
    return [found.st_size, found.st_mtime_ns] if found else []


def _file_of(module: str) -> Path | None:
    """Where a module lies. Nothing is imported, so the packages around it are followed by their folders."""
    top, *parts = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
        for n, _ in enumerate(parts, 2):
            within = spec.submodule_search_locations if spec else None
            spec = PathFinder.find_spec(".".join([top, *parts][:n]), within) if within else None
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin) if spec and spec.has_location and spec.origin else None


def _beside(folder: Path | None, text: str) -> str:
    if folder is None or "://" in text:
        return text
    return str(folder / Path(text).expanduser())
