"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a Markdown table.

    Args:
        columns: ``k`` column heads.
        rows: Rows of ``k`` cells, shown as ``str`` shows them.
    """
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
