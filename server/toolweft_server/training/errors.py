"""What goes wrong in training, beside `toolweft_server.errors`: same base, same manner of speaking."""

from __future__ import annotations

from toolweft_server.errors import ToolweftError


class TrainingError(ToolweftError):
    """Configuration or data that nothing can be trained from. The message names the value."""


class ArtefactError(ToolweftError):
    """A trained artefact that is missing, cut, damaged, or made for something else."""
