"""Reasons in words, and what is written with a trial."""

from __future__ import annotations

from dataclasses import replace
import math
from typing import get_args

import pytest

from optuna_tnas.search.explanation import Explanation
from optuna_tnas.search.explanation import Phase


FOUND = Explanation(
    past=1.25,
    mean=0.5,
    std=0.1,
    no_past=0.2,
    past_weight=0.9,
    number=7,
    phase="acquisition",
    n_trials=6,
    sources={"svhn": 0.5, "digits": 0.3},
)


def test_the_acquisition_names_the_past_study_that_counts_most() -> None:
    assert FOUND.reason == "acquisition: after 6 trials; past 80% (most: svhn, 50%)"
    turned = replace(FOUND, past_weight=-0.1)
    assert "past 80%, turned around (most" in turned.reason
    assert replace(FOUND, sources={}).reason == "acquisition: after 6 trials; no past"


def test_the_past_tells_how_good_it_finds_its_best() -> None:
    assert "+1.25 standard deviations" in replace(FOUND, phase="past").reason


@pytest.mark.parametrize("phase", get_args(Phase))
def test_reasons_begin_with_the_phase_and_are_short(phase: Phase) -> None:
    found = replace(FOUND, phase=phase, sources={"n" * 500: 0.8}, past_weight=-1.0)
    assert found.reason.startswith(f"{phase}: ")
    assert len(found.reason) <= 120


@pytest.mark.parametrize("missing", [None, math.inf, math.nan])
def test_what_is_not_finite_is_not_written(missing: float | None) -> None:
    assert FOUND.attributes == {"tnas:reason": FOUND.reason, "tnas:mean": 0.5, "tnas:std": 0.1}
    left = replace(FOUND, mean=missing, std=missing).attributes
    assert left == {"tnas:reason": FOUND.reason}
