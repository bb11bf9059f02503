"""Which concrete parts a configuration asks for: upstreams and the sandbox. `app` joins them, `doctor` tries them."""

from __future__ import annotations

from typing import Any

from toolweft_catalog import bundled
from toolweft_catalog.tool import digest
from toolweft_server.config import Config, Entry, McpEntry, OpenApiEntry, PythonEntry
from toolweft_server.sandbox.backends.local import LocalProcess
from toolweft_server.sandbox.base import Sandbox
from toolweft_server.sandbox.limits import Limits
from toolweft_server.upstream.base import Upstream
from toolweft_server.upstream.http import HttpUpstream
from toolweft_server.upstream.mcp import HttpEntry, McpUpstream, StdioEntry
from toolweft_server.upstream.python import PythonUpstream


def sandbox_of(config: Config) -> Sandbox:  # noqa: ARG001 - the next backends choose by `config.sandbox`
    return LocalProcess()


def sandbox_limits(config: Config) -> Limits:
    own: dict[str, Any] = {name: value for name, value in config.limits.items() if name in Limits.names()}
    whole = {each for each, value in vars(Limits).items() if isinstance(value, int)}
    return Limits(**{name: int(value) if name in whole else value for name, value in own.items()})


def upstreams_of(config: Config) -> tuple[dict[str, Upstream], dict[str, str]]:
    """Every configured upstream by name, with its entry's digest; the everyday tools when there is none."""
    upstreams = {name: _upstream(name, entry, config) for name, entry in config.servers.items()}
    if upstreams:
        return upstreams, dict(config.digests)
    modules = bundled.modules()
    own: dict[str, Upstream] = {name: PythonUpstream(name, module=module) for name, module in modules.items()}
    return own, {name: digest(["bundled", module]) for name, module in modules.items()}


def _upstream(name: str, entry: Entry, config: Config) -> Upstream:
    folder = str(config.path.parent) if config.path else None
    if isinstance(entry, OpenApiEntry):
        return HttpUpstream(
            name, document_source=entry.spec, base_url=entry.base_url, auth=entry.auth, headers=entry.headers,
            timeout=entry.timeout,
        )  # fmt: skip
    if isinstance(entry, PythonEntry):
        return PythonUpstream(name, module=entry.module)
    assert isinstance(entry, McpEntry)
    if entry.url is not None:
        how: StdioEntry | HttpEntry = HttpEntry(entry.url, entry.headers)
    else:
        how = StdioEntry(entry.command or "", tuple(entry.args), entry.env, entry.cwd or folder)
    return McpUpstream(name, config=how, start_timeout=entry.start_timeout, call_timeout=entry.timeout, idle=entry.idle)
