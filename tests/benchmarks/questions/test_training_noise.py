from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.questions import training_noise
from optuna_tnas.demo.cell_training import Result


def test_a_row_has_both_seeds_agreement_the_best_values_and_the_time() -> None:
    # Accuracies agree, log losses are reversed between the seeds.
    results = [
        [
            Result(
                accuracy=0.1 * i,
                log_loss=float(i if seed else -i),
                seconds=i + seed,
                n_parameters=1,
            )
            for seed in range(2)
        ]
        for i in range(4)
    ]
    assert training_noise.figures(results) == ["1.00", "-1.00", "0.300", "-3.000", "2.00", "4.00"]


def test_each_image_set_has_a_row_of_each_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(recipe: object, data: object) -> Iterator[list[Result]]:
        for i in range(3):
            yield [Result(accuracy=i / 9, log_loss=float(i), seconds=1.0, n_parameters=1)] * 2

    monkeypatch.setattr(training_noise, "measure", measure)
    monkeypatch.setattr(training_noise, "load_images", lambda name: None)
    rows = list(training_noise.rows(["a", "b"]))
    assert [row[:2] for row in rows] == [
        [name, label] for name in "ab" for label in training_noise.CANDIDATES
    ]
    assert {len(row) for row in rows} == {len(training_noise.HEADS)}
