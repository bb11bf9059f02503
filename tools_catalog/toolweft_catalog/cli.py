"""`toolweft`: the dispatcher. It loads the one subcommand asked for, so that `serve` imports nothing it does not need.

A subcommand is a module named by an entry point in the group `toolweft.commands`. It offers
`add(parser)`, which declares its arguments, and `run(args) -> int`, which does the work and returns the exit code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Protocol

GROUP = "toolweft.commands"

SUMMARIES = {
    "serve": "run the MCP server (over stdio, or --http)",
    "connect": "print the block that connects a host to toolweft",
    "doctor": "say what works, what does not, and how to mend it",
    "find": "find tools for a request",
    "run": "run a program against your tools",
    "ask": "let the agent solve a task",
    "functions": "list, show, export, import and remove saved functions",
    "policy": "which calls may run, and what was always allowed by an answer: list, forget",
    "index": "the search index: status, explain, rebuild, and what it learned from use",
    "ingest": "read a tool catalogue from a file into the store",
    "purge": "delete old executions and their output",
    "train": "weave the catalogue into codes (extra `train`): tokenize, report, lm",
    "eval": "how well tools are found: retrieval; how well tasks are solved: pass-rate, preference",
    "resume": "go on with a task that was interrupted, from its trace",
    "solve-server": "an MCP server that solves whole tasks, with the host's own model",
    "trace": "show what an agent run did",
    "report": "what many agent runs came to, from their traces",
    "completion": "print a completion script for bash, zsh or fish",
}
"""Shown by `--help` without loading a command. A test compares it with the entry points."""


class Command(Protocol):
    """What a subcommand's module offers."""

    def add(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted."""
    try:
        try:
            return _main(list(sys.argv[1:] if argv is None else argv))
        finally:
            if not sys.stdout.closed:
                sys.stdout.flush()  # not by the interpreter at its end, who would complain
    except BrokenPipeError:
        # The reader (head, less) went away: not a failure. Nothing more may be written, not even by the interpreter.
        sys.stdout = open("/dev/null", "w", encoding="utf-8") if sys.platform != "win32" else sys.stderr  # noqa: SIM115
        return 0


def _main(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        from toolweft_catalog import __version__

        print(f"toolweft {__version__}")
        return 0
    if words[0] == "completion":
        from toolweft_catalog import completion

        return _run(completion, words)
    entry = _entry(words[0])
    if entry is None:
        import difflib

        near = difflib.get_close_matches(words[0], SUMMARIES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see toolweft --help"
        print(f"toolweft: there is no command {words[0]!r}; {hint}", file=sys.stderr)
        return 2
    return _run(entry.load(), words)


def parser_of(name: str, command: Command) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"toolweft {name}", description=SUMMARIES.get(name), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add(parser)
    return parser


def _run(command: Command, words: Sequence[str]) -> int:
    args = parser_of(words[0], command).parse_args(words[1:])
    try:
        return command.run(args)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _entry(name: str) -> metadata.EntryPoint | None:
    """Our own distribution first: reading every installed one costs the handshake tens of milliseconds."""
    try:
        own = metadata.distribution("toolweft").entry_points
    except metadata.PackageNotFoundError:
        own = metadata.EntryPoints()
    found = [point for point in own if point.group == GROUP and point.name == name]
    if not found and name not in SUMMARIES:
        found = [point for point in metadata.entry_points(group=GROUP) if point.name == name]
    return found[0] if found else None


def overview() -> str:
    width = max(map(len, SUMMARIES))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, text in SUMMARIES.items())
    return (
        "usage: toolweft COMMAND [options]\n\n"
        "One MCP server in front of all your tools, and the agent that uses it.\n\n"
        f"{rows}\n\n"
        "Every command takes --help; most take --config PATH and --json.\n\n"
        "examples:\n"
        "  toolweft connect --print claude-code\n"
        "  toolweft doctor\n"
        '  toolweft find "create an issue"\n'
        "  echo 'tools.time.get_current_time(timezone=\"UTC\")' | toolweft run -\n"
    )


if __name__ == "__main__":
    sys.exit(main())
