"""Write Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from itertools import chain


Cells = Sequence[str]  # of one row


def table(heads: Cells, rows: Iterable[Cells], *, aligned: bool = False) -> Iterator[str]:
    """Yield the lines of a table, each as soon as its row is known.

    Args:
        heads: Column names.
        rows: Cells of each row, as many as there are columns.
        aligned: Whether columns are padded to one width, for which all rows are read first.

    Raises:
        ValueError: If a row has more or fewer cells than there are columns.
    """
    rows = list(rows) if aligned else rows
    widths = [max(map(len, c)) for c in zip(heads, *rows, strict=True)] if aligned else None
    rule = ["-" * width for width in widths or [3] * len(heads)]
    for cells in chain([heads, rule], rows):
        padded = [c.ljust(w) for c, w in zip(cells, widths or [0] * len(heads), strict=True)]
        yield "| " + " | ".join(padded) + " |"
