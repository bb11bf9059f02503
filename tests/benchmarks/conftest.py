"""Benchmarks are run from the checkout and are no installed package, so its folder has to be on the path."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
