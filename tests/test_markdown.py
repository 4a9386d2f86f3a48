from __future__ import annotations

from optuna_tnas.markdown import table


def test_a_table_has_a_line_for_heads_rule_and_each_row() -> None:
    assert table(["a", "b"], [[1, "x"], ["", None]]) == (
        "| a | b |\n| --- | --- |\n| 1 | x |\n|  | None |"
    )
