import argparse
import contextlib
import io

parser = argparse.ArgumentParser(prog="tool", description="A tool.", exit_on_error=False)
parser.add_argument("-v", "--verbose", action="count", default=0)
commands = parser.add_subparsers(dest="command", required=True)
build = commands.add_parser("build", help="builds")
build.add_argument("target", nargs="+")
build.add_argument("--jobs", type=int, default=1, metavar="N")
build.add_argument("--define", action="append", type=lambda t: tuple(t.split("=", 1)))
mode = build.add_mutually_exclusive_group()
mode.add_argument("--fast", dest="mode", action="store_const", const="fast")
mode.add_argument("--slow", dest="mode", action="store_const", const="slow")
clean = commands.add_parser("clean")
clean.add_argument("--all", action=argparse.BooleanOptionalAction)
args = parser.parse_args(["-vv", "build", "a", "b", "--jobs", "4", "--define", "X=1", "--define=Y=2=3", "--fast"])
print(sorted(vars(args).items()))
errors = io.StringIO()
codes = []
for line in ("build x --jobs many", "build x --fast --slow"):
    try:
        with contextlib.redirect_stderr(errors):
            parser.parse_args(line.split())
    except (SystemExit, argparse.ArgumentError) as error:
        codes.append(type(error).__name__)
known, unknown = parser.parse_known_args(["clean", "--no-all", "--odd"])
[
    codes,
    "invalid int value: 'many'" in errors.getvalue(),
    "not allowed with argument" in errors.getvalue(),
    known.all,
    unknown,
    "A tool." in parser.format_help(),
]
