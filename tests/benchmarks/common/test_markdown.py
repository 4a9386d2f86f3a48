from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.common import markdown


def test_rows_appear_as_they_come() -> None:
    def rows() -> Iterator[list[str]]:
        yield ["1", "2"]
        raise AssertionError("read ahead")

    lines = markdown.table(["a", "b"], rows())
    assert [next(lines) for _ in range(3)] == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]


def test_aligned_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = list(markdown.table(["a", "long"], iter([["100", "2"]]), aligned=True))
    assert lines == ["| a   | long |", "| --- | ---- |", "| 100 | 2    |"]


@pytest.mark.parametrize("aligned", [False, True])
def test_a_row_that_is_too_short_is_refused(aligned: bool) -> None:
    with pytest.raises(ValueError, match="zip"):
        list(markdown.table(["a", "b"], [["1"]], aligned=aligned))


@pytest.mark.parametrize("aligned", [False, True])
def test_a_table_without_rows_has_heads(aligned: bool) -> None:
    assert len(list(markdown.table(["a", "b"], [], aligned=aligned))) == 2
