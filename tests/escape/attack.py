"""Hostile programs as data: what each tries, how it may end, and the source that is sent to the sandbox.

A module of `programs` is an area; each public function in it is a program, sent as text and never called here. The
decorators below say what is special about one. Modules named in `ISOLATION` try what only a wall by the operating
system stops; the others must come to nothing on every backend.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent
PRELUDE = (ROOT / "prelude.py").read_text(encoding="utf-8")
PRELUDE_OF_MONTY = (ROOT / "prelude_monty.py").read_text(encoding="utf-8")
AREAS = sorted(path.stem for path in (ROOT / "programs").glob("*.py"))
ISOLATION = frozenset({"descriptors", "environment", "files", "kernel", "network", "privileges", "processes"})


class Attack(NamedTuple):
    area: str
    name: str
    body: str
    """Source of the function, and of those of its module that it names."""
    ends: frozenset[str]
    """Statuses in which it may end without being open; with `value`, that its verdict is a refusal."""
    first: str | None
    """A program that runs in a sandbox of its own before this one."""
    limits: Mapping[str, float]
    walled: bool
    """Only isolation by the operating system stops it."""
    says: str
    """What the error says when it ends otherwise than with a verdict."""
    bare: bool
    """Its own value or exception is the attack: there is no verdict, the outcome itself is looked at."""
    closed_here: str | None
    """Why it comes to nothing even where nothing is confined."""

    @property
    def shares(self) -> bool:
        """Whether it may run in a session in which such programs were refused before: it changes nothing then."""
        return self.walled and self.ends == {"value"} and self.first is None and not self.limits

    @property
    def id(self) -> str:
        return f"{self.area}__{self.name}"

    def code(self, host: Mapping[str, object], *, monty: bool = False) -> str:
        last = f"{self.name}()" if self.bare else f"attempt({self.name})"
        return self._program(host, f"{self.body}\n{last}", monty=monty)

    def code_before(self, host: Mapping[str, object], *, monty: bool = False) -> str:
        return self._program(host, self.first or "", monty=monty)

    def _program(self, host: Mapping[str, object], body: str, *, monty: bool) -> str:
        if monty:  # a module that is not there stops nobody before what else the program tries
            body = re.sub(r"^((?:import|from) .*)$", r"try:\n    \1\nexcept ImportError:\n    pass", body, flags=re.M)
        return f"{PRELUDE_OF_MONTY if monty else PRELUDE}\nHOST.update({dict(host)!r})\n{body}"


def ends(*statuses: str) -> Callable:
    """It may end so; without `value` among them, it must not come back with a verdict."""
    return lambda program: _mark(program, ends=frozenset(statuses))


def after(first: Callable) -> Callable:
    """`first` has run before, in a sandbox of its own."""
    return lambda program: _mark(program, first=inspect.getsource(first) + f"\n{first.__name__}()")


def limited(**limits: float) -> Callable:
    return lambda program: _mark(program, limits=limits)


def says(text: str) -> Callable:
    """What the error at its end says."""
    return lambda program: _mark(program, says=text)


def everywhere(program: Callable) -> Callable:
    """No wall is needed to stop it, although its area's programs need one."""
    return _mark(program, walled=False)


def walled(program: Callable) -> Callable:
    """It needs a wall, although its area's programs do not."""
    return _mark(program, walled=True)


def bare(program: Callable) -> Callable:
    """Its value, or its exception, is what it attacks with."""
    return _mark(program, bare=True, ends=frozenset({"ok", "error"}))


def closed_here(reason: str) -> Callable:
    """It comes to nothing even without a sandbox, on some machines or on all: why."""
    return lambda program: _mark(program, closed_here=reason)


def attacks() -> list[Attack]:
    return [attack for area in AREAS for attack in _area(area)]


def _area(area: str) -> list[Attack]:
    module = importlib.import_module(f"escape.programs.{area}")
    source = inspect.getsource(module)
    tree = ast.parse(source)
    imports = "\n".join(ast.unparse(node) for node in tree.body if _is_import(node))
    texts = {
        node.name: ast.get_source_segment(source, node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)
    }
    limits = getattr(module, "LIMITS", {})
    found = []
    for name, text in texts.items():
        if name.startswith("_"):
            continue
        named = {each.id for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Name)}
        helpers = [texts[each] for each in texts if each.startswith("_") and each in named]
        marks = getattr(getattr(module, name), "marks", {})
        body = "\n\n".join([imports, *helpers, text])
        found.append(_attack(area, name, body, {**marks, "limits": {**limits, **marks.get("limits", {})}}))
    for name, arguments in getattr(module, "SURFACE", {}).items():
        call = ", ".join(map(repr, (name, *arguments)))
        marks = {"closed_here": getattr(module, "CLOSED", {}).get(name)}
        found.append(_attack(area, name, f"def {name}():\n    return surface({call})", marks))
    for name, (statement, said) in getattr(module, "FORGED", {}).items():
        body = f"{imports}\n\n{texts['_send']}\n\ndef {name}():\n    {statement}\n    time.sleep(60)"
        found.append(_attack(area, name, body, {"ends": frozenset({"violation"}), "says": said, "limits": limits}))
    return found


def _is_import(node: ast.stmt) -> bool:
    ours = isinstance(node, ast.ImportFrom) and (node.module or "").startswith("escape")
    return isinstance(node, ast.Import | ast.ImportFrom) and not ours


def _attack(area: str, name: str, body: str, marks: Mapping) -> Attack:
    defaults = {"ends": frozenset({"value"}), "first": None, "limits": {}, "walled": area in ISOLATION,
                "bare": False, "says": "", "closed_here": None}  # fmt: skip
    return Attack(area, name, body, **{**defaults, **marks})


def _mark(program: Callable, **marks: object) -> Callable:
    program.marks = {**getattr(program, "marks", {}), **marks}
    return program
