"""`prelude.py` in the part of Python that Monty runs. There is no bare system call to make, so none is offered.

A name, a module or a part of one that is not there is a refusal too: that is how this tier says no.
"""

import os  # noqa: F401  (the programs use it)

HOST: dict = {}
"""What the battery planted outside."""


def attempt(program):
    """The verdict on one program: `OPEN: …`, `refused: …`, or `broken: …`."""
    try:
        reached = program()
    except (OSError, MemoryError, ImportError, ToolError, NameError, AttributeError, NotImplementedError) as error:  # noqa: F821
        return f"refused: {type(error)}: {error}"[:300]
    except Exception as error:  # noqa: BLE001
        return f"broken: {type(error)}: {error}"[:300]
    return f"OPEN: {str(reached)[:300]}" if reached else "refused: nothing was reached"
