"""`Tape`: what the model and the server answered in a run that was cut short, to be given again when it is resumed.

A loop is a function of its task and of the answers it gets. So a run is resumed by running it again from the start with
the answers of its trace; where they end, the model and the server are asked. No interpreter is pickled, and nothing is
done twice: programs that have ended are on the tape, and one that had only begun is a retry of itself.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping

from toolweft_catalog.tool import Json
from toolweft_client.errors import TraceError
from toolweft_client.redact import MASK
from toolweft_client.trace import Step

ANSWERS = frozenset({"find", "llm", "approval", "begin", "run"})
"""Events that hold an answer from outside; `begin` holds the id of a program that was sent."""


def masked(steps: Iterable[Step]) -> bool:
    """Whether something that the run would do again holds a secret that the trace does not."""
    held: list[Json] = []
    for step in steps:
        held += [step.data.get(key) for key in {"task.start": ("task", "setup"), "llm": ("reply",)}.get(step.event, ())]
    return MASK in json.dumps(held)


class Tape:
    """Empty for a run that starts anew."""

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self._left = deque(step for step in steps if step.event in ANSWERS)

    def count(self, event: str) -> int:
        return sum(step.event == event for step in self._left)

    def __bool__(self) -> bool:
        """Whether answers are left; until there are none, nobody outside is asked."""
        return bool(self._left)

    def peek(self, key: str) -> Json:
        """What the next answer says under a name."""
        return self._left[0].data.get(key) if self._left else None

    def next(self, event: str) -> bool:
        """Whether the next answer is of this kind."""
        return bool(self._left) and self._left[0].event == event

    def take(self, event: str, **asked: Json) -> Mapping[str, Json] | None:
        """The next answer; `None` once all are given.

        Raises:
            TraceError: The trace has an answer to something else there.

        """
        if not self._left:
            return None
        step = self._left.popleft()
        wrong = [key for key, value in asked.items() if step.data.get(key) != value]
        if step.event != event or wrong:
            what = f"its {wrong[0]} is another one" if step.event == event else f"a {event} was due"
            raise TraceError(
                f"The run cannot be resumed: step {step.seq} of its trace is a {step.event}, and {what} now. It was "
                "made by another version of toolweft, or with other budgets or in another mode. Start the task anew."
            )
        return step.data
