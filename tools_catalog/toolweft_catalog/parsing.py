"""`parse`: Python source -> its tree, in one thread at a time.

CPython counts how deep it is in a tree for all threads together, so two that parse at once may end in "SystemError: AST
constructor recursion depth mismatch" (python/cpython#106905; every 3.11 up to 3.11.7 has it).
"""

from __future__ import annotations

import ast
import threading
from typing import Literal, overload

_ONE = threading.Lock()


@overload
def parse(source: str) -> ast.Module: ...
@overload
def parse(source: str, mode: Literal["eval"]) -> ast.Expression: ...
def parse(source: str, mode: Literal["exec", "eval"] = "exec") -> ast.AST:
    """
    Raises:
        SyntaxError: It is no Python; ValueError, RecursionError and MemoryError as `ast.parse`.

    """
    with _ONE:
        return ast.parse(source, mode=mode)
