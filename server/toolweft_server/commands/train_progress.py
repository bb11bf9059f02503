"""How the stages of `toolweft train` show that they move on, and where they keep what is half done."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolweft_server.training.progress import Step


def told(step: Step) -> None:
    """A line now and then: the first, the last, and every tenth part between."""
    every = max(1, step.total // 10)
    if step.done % every == 0 or step.done == step.total:
        loss = "" if step.loss is None else f", loss {step.loss:.4g}"
        print(f"… {step.stage} {step.done}/{step.total}{loss}", file=sys.stderr)


def begun(out: Path, *, resume: bool) -> Path:
    """The folder for what is half done, beside `out`: a new one, or with `resume` that of the run that was stopped.

    Raises:
        TrainingError: An unfinished run lies there and nobody said what is to become of it.

    """
    from toolweft_server.training.errors import TrainingError

    work = out.with_name(f"{out.name}.training")
    if work.exists() and not resume:
        raise TrainingError(
            f"an unfinished run lies in {str(work)!r}: go on with it by --resume, or delete the folder to begin anew"
        )
    if resume and not work.exists():
        print(f"… nothing to resume in {work}: beginning anew", file=sys.stderr)
    work.mkdir(parents=True, exist_ok=True)
    return work
