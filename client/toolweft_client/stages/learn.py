"""Learn: what the server kept of a program that ended well. Extraction and proof are the server's; this reports."""

from __future__ import annotations

from toolweft_catalog.wire import SavedFunction
from toolweft_client.work import Attempt, Work


def learn(work: Work, attempt: Attempt) -> tuple[SavedFunction, ...]:
    work.trace.enter("learn")
    saved = tuple(attempt.execution.saved) if attempt.execution else ()
    work.trace.add("library", saved=[each.model_dump(mode="json") for each in saved])
    return saved
