"""What goes wrong in an evaluation, beside `toolweft_server.errors`: same base, same manner of speaking."""

from __future__ import annotations

from toolweft_server.errors import ToolweftError


class DataError(ToolweftError):
    """Data that nothing can be measured on. The message names the file, the line and what to change."""


class EvaluationError(ToolweftError):
    """A measurement that was asked for and cannot be made: an unknown system, a split of nothing."""
