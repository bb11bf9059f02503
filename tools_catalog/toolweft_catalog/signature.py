"""JSON Schema <-> Python signature: the one door to what the sibling modules do.

`parameter` names arguments, `annotation` turns schemas into types, `stub` writes text, `bind` checks a call,
`reverse` reads Python back into a schema; `shape` is what results looked like where nothing is declared.
"""

from __future__ import annotations

from toolweft_catalog.bind import bind
from toolweft_catalog.parameter import Parameter, Signature, parameters, signature
from toolweft_catalog.reverse import FunctionSignature, parse_function
from toolweft_catalog.stub import call_line, stub

__all__ = [
    "FunctionSignature",
    "Parameter",
    "Signature",
    "bind",
    "call_line",
    "parameters",
    "parse_function",
    "signature",
    "stub",
]
