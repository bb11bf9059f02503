"""`toolweft completion SHELL`: a script for bash, zsh or fish that completes the commands and their options."""

from __future__ import annotations

import argparse

_BASH = """\
_toolweft() {{
  local words="{words}"
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  [ "$COMP_CWORD" = 1 ] && words="{words}"
  COMPREPLY=($(compgen -W "$words" -f -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o filenames -F _toolweft toolweft
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])
    parser.epilog = 'examples:\n  eval "$(toolweft completion bash)"\n  toolweft completion fish | source'


def run(args: argparse.Namespace) -> int:
    print(script(args.shell))
    return 0


def script(shell: str) -> str:
    options = _options()
    if shell == "fish":
        lines = [f"complete -c toolweft -n __fish_use_subcommand -a {name}" for name in options]
        lines += [
            f"complete -c toolweft -n '__fish_seen_subcommand_from {name}' -l {flag.removeprefix('--')}"
            for name, flags in options.items()
            for flag in flags
        ]
        return "\n".join(lines)
    cases = "\n".join(f'    {name}) words="{" ".join(flags)}" ;;' for name, flags in options.items())
    bash = _BASH.format(words=" ".join(options), cases=cases)
    return bash if shell == "bash" else "autoload -U +X bashcompinit && bashcompinit\n" + bash


def _options() -> dict[str, list[str]]:
    from toolweft_catalog import cli

    found: dict[str, list[str]] = {}
    for name in cli.SUMMARIES:
        entry = cli._entry(name)
        if entry is None:
            found[name] = []
            continue
        parser = cli.parser_of(name, entry.load())
        found[name] = sorted(o for action in parser._actions for o in action.option_strings if o.startswith("--"))
    return found
