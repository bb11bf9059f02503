"""Makes `escape` importable: the battery also runs as a program of its own, as another user."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
