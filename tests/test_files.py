from __future__ import annotations

from pathlib import Path

import pytest

from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.files import check_writable
from optuna_tnas.files import replacing


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_paths_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    check_writable(tmp_path / "new.txt", "--out")
    for path, why in ((tmp_path, "it is a folder"), (tmp_path / "no" / "a", "there is no folder")):
        with pytest.raises(OptunaTNASError, match=rf"{why}.*give another --out"):
            check_writable(path, "--out")
    assert not list(tmp_path.iterdir())
