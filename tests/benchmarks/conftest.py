from __future__ import annotations

from pathlib import Path
import sys


# The benchmarks are not installed; `pytest`, unlike `python -m pytest`, does not look here.
sys.path.insert(0, str(Path(__file__).parents[2]))
