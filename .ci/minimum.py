"""Print the lowest version that pyproject.toml allows of each dependency, as ``name==version``.

Names given as arguments are left out.
"""

from __future__ import annotations

from pathlib import Path
import re
import sys
import tomllib


project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
for dependency in project["dependencies"]:
    match = re.fullmatch(r"([\w-]+)>=([\d.]+)(,.*)?", dependency)
    assert match, f"{dependency!r} names no lowest version"
    if match[1] not in sys.argv[1:]:
        print(f"{match[1]}=={match[2]}")
