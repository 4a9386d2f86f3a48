"""Read arguments of the command line."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterable
import sys


def listed(what: str, text: str, known: Iterable[str], but: Collection[str] = ()) -> list[str]:
    """Split a list with commas into names, each once; ``all`` is all but some.

    Exits if there is no such name.
    """
    known = list(known)
    if text == "all":
        return [name for name in known if name not in but]
    names = list(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"There is no {what} {unknown[0]!r}; choose of {', '.join(known)}.")
    return names
