"""`toolweft train tokenize|report|lm`: codes for the catalogue, a page about them, a model that writes them.

Each stage is a module beside this one, `train_*`. All need the extra `train`.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from toolweft_server.commands import train_lm, train_report, train_tokenize

STAGES: Mapping[str, ModuleType] = {"tokenize": train_tokenize, "report": train_report, "lm": train_lm}
NEEDED: Mapping[str, Sequence[str]] = {
    "tokenize": ("torch", "transformers", "safetensors"),
    "report": ("torch", "safetensors", "matplotlib"),
    "lm": ("torch", "transformers", "safetensors"),
}
"""Packages that a stage cannot do without."""


def add(parser: argparse.ArgumentParser) -> None:
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    examples = []
    for name, module in STAGES.items():
        stage = stages.add_parser(
            name, help=module.HELP, description=module.__doc__, epilog=f"examples:\n{module.EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        module.add(stage)
        examples.append(module.EXAMPLES.rstrip().split("\n")[0])
    parser.epilog = "examples:\n" + "\n".join(examples) + "\n\n`toolweft train STAGE --help` says more."


def run(args: argparse.Namespace) -> int:
    from toolweft_server.errors import ConfigError, ToolweftError

    if missing := [name for name in NEEDED[args.stage] if importlib.util.find_spec(name) is None]:
        print(f"toolweft: training needs {', '.join(missing)}: pip install 'toolweft[train]'", file=sys.stderr)
        return 1
    try:
        return int(STAGES[args.stage].run(args))
    except KeyboardInterrupt:
        again = "; the same command with --resume goes on" if hasattr(args, "resume") else ""
        print(f"toolweft: stopped{again}", file=sys.stderr)
        return 130
    except (ToolweftError, OSError) as error:
        print(f"toolweft: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
