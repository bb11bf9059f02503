"""From what was seen of a connection to one sentence about the cause and one about the fix. Pure."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from mcp import MCPError

from toolweft_server.errors import UpstreamError
from toolweft_server.upstream.command import NotFoundError, StdioEntry
from toolweft_server.upstream.evidence import Evidence
from toolweft_server.upstream.streamable import HttpEntry


def explain(
    name: str,
    config: StdioEntry | HttpEntry,
    evidence: Evidence,
    error: BaseException | None,
    *,
    hung: float | None,
    was_ready: bool,
) -> UpstreamError:
    """Why a connection did not come about, or how it was lost. `hung` is the time it had to start, if that ran out."""
    leaf = next(_leaves(error), None)
    if isinstance(config, StdioEntry):
        return _command(name, config, evidence, leaf, hung=hung, was_ready=was_ready)
    return _address(name, config, evidence, leaf, hung=hung)


def _command(
    name: str,
    config: StdioEntry,
    evidence: Evidence,
    error: BaseException | None,
    *,
    hung: float | None,
    was_ready: bool,
) -> UpstreamError:
    if isinstance(error, NotFoundError):
        return UpstreamError(name, "not_found", evidence.clean(f"{error}") + ".", fix=error.fix)
    by_hand = f"Run {config.command!r} with its arguments in a terminal to see why."
    if evidence.cannot_start:
        return UpstreamError(
            name, "no_start", f"the system cannot start {config.command!r}: {evidence.cannot_start}.", fix=by_hand
        )
    words = last_words(evidence)
    if was_ready:
        return UpstreamError(name, "gone", f"{ending(evidence)} while it was in use.{words}")
    if hung is not None:
        slow = "Raise `start_timeout` if it is only slow: npx and uvx download on first use."
        return UpstreamError(
            name, "hangs", f"it started but did not answer within {hung:g} s.{words}", fix=f"{by_hand} {slow}"
        )
    if evidence.ended_by_itself:
        return UpstreamError(name, "no_start", f"{ending(evidence)} before it answered.{words}", fix=by_hand)
    if isinstance(error, OSError):
        return UpstreamError(name, "no_start", f"the system cannot start {config.command!r}: {error}.", fix=by_hand)
    said = evidence.clean(str(error)) if error is not None else "it closed its output"
    return UpstreamError(
        name,
        "protocol",
        f"it does not speak MCP: {said}.{stray(evidence)}{words}",
        fix=f"Is it one? {by_hand}",
    )


def _address(
    name: str, config: HttpEntry, evidence: Evidence, error: BaseException | None, *, hung: float | None
) -> UpstreamError:
    import httpx2

    at = config.shown
    if evidence.http_status in (401, 403):
        return UpstreamError(
            name, "auth", f"{at} refused us (HTTP {evidence.http_status}).",
            fix="Put a valid token into the `headers` of its entry; `${VAR}` reads the environment.",
        )  # fmt: skip
    if hung is not None:
        return UpstreamError(
            name, "hangs", f"{at} did not answer within {hung:g} s.", fix="Check the URL, or raise `start_timeout`."
        )
    if isinstance(error, httpx2.TransportError | httpx2.InvalidURL):
        said = evidence.clean(str(error)) or type(error).__name__
        return UpstreamError(
            name, "network", f"{at} cannot be reached: {said}.", fix="Check the URL, the network, and that it runs."
        )
    if evidence.http_status is not None:
        cause = "network" if evidence.http_status >= 500 else "protocol"
        return UpstreamError(
            name, cause, f"{at} answers with HTTP {evidence.http_status}.",
            fix="Check the URL: it is that of the MCP endpoint, often ending in /mcp.",
        )  # fmt: skip
    if error is None:
        return UpstreamError(name, "gone", f"{at} closed the connection.")
    said = evidence.clean(error.message if isinstance(error, MCPError) else str(error))
    return UpstreamError(
        name, "protocol", f"{at} does not speak MCP: {said}.", fix="Check that the URL is that of an MCP endpoint."
    )


def ending(evidence: Evidence) -> str:
    """How a process ended, in words."""
    code = evidence.exit_code
    if not evidence.ended_by_itself or code is None:
        return "it closed its output"
    if code < 0:
        return "its leash was killed"
    if code > 128:
        try:
            return f"it was ended by {signal.Signals(code - 128).name}"
        except ValueError:
            pass
    return f"it ended with exit code {code}"


def last_words(evidence: Evidence) -> str:
    words = evidence.last_words()
    return f" Its last words: {words}" if words else " It said nothing on stderr."


def stray(evidence: Evidence) -> str:
    """What it printed to stdout that is no protocol message."""
    if not evidence.stray:
        return ""
    lines = "line" if evidence.stray == 1 else "lines"
    return f" It printed {evidence.stray} {lines} to stdout that are no messages, the first: {evidence.samples[0]!r}."


def _leaves(error: BaseException | None) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    elif error is not None:
        yield error
