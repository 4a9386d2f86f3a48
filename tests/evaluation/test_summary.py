from __future__ import annotations

import pytest

from optuna_tnas.evaluation.fronts import FrontOutcome
from optuna_tnas.evaluation.replay import METHODS
from optuna_tnas.evaluation.replay import Outcome
from optuna_tnas.evaluation.summary import Summary


def outcome(target: str, seed: int, trials: tuple[float, float], **sources: float) -> Outcome:
    return Outcome(
        target=target,
        seed=seed,
        architectures=40,
        trials={"with transfer": trials[0], "without": trials[1], "random": 9.0},
        regret={"with transfer": [0.4, 0.2], "without": [1.0, 0.6], "random": [1.0, 0.8]},
        rank_correlation=0.5,
        sources=sources,
    )


@pytest.fixture
def summarized() -> Summary:
    return Summary.of(
        [
            outcome("a", 0, (2.0, 6.0), b=0.9, c=-0.8),
            outcome("a", 1, (4.0, 8.0), b=0.7, c=-0.6),
            outcome("b", 0, (5.0, 5.5), a=0.8, c=0.1),
            outcome("c", 0, (8.0, 3.0), a=-0.2, b=0.1),
        ],
        2,
    )


def test_a_study_is_the_mean_of_its_seeds(summarized: Summary) -> None:
    a = summarized.targets[0]
    assert (a.name, a.seeds, a.saved) == ("a", 2, 4.0)
    assert a.sources == {"b": pytest.approx(0.8), "c": pytest.approx(-0.7)}


def test_sources_are_ranked_by_their_mean_over_the_others(summarized: Summary) -> None:
    assert [s.name for s in summarized.sources] == ["b", "a", "c"]
    assert [s.mean for s in summarized.sources] == pytest.approx([0.45, 0.3, -0.3])
    assert [s.hurts for s in summarized.sources] == [False, False, True]


def test_the_summary_counts_what_the_table_shows(summarized: Summary) -> None:
    summary = summarized.sentences()
    assert "saves 0.5 trials of 2 (median over 3" in summary
    assert "helps on 1 and hurts on 1 (c)" in summary
    assert "mislead the others on average: 1 (c)" in summary


def test_hypervolume_regrets_are_means_over_seeds_and_have_a_table_of_their_own() -> None:
    fronts = [
        FrontOutcome(name, seed, 9, {m: [regret, regret / 2] for m in METHODS})
        for name, seed, regret in (("a", 0, 0.8), ("a", 1, 0.4), ("b", 0, 0.2))
    ]
    summary = Summary.of([outcome("a", 0, (2.0, 6.0), b=0.9)], 2, fronts)
    assert [(f.name, f.seeds) for f in summary.fronts] == [("a", 2), ("b", 1)]
    assert summary.fronts[0].hypervolume_regret["random"] == pytest.approx([0.6, 0.3])
    heads, _, a, b, mean = summary.tables().split("\n\n")[-1].split("\n")
    assert heads.startswith("| hypervolume regret after 1 trials | with transfer |")
    assert (a, b) == ("| a | 0.60 | 0.60 | 0.60 |", "| b | 0.20 | 0.20 | 0.20 |")
    assert mean == "| **mean** | 0.40 | 0.40 | 0.40 |"


def test_tables_have_a_line_for_every_study(summarized: Summary) -> None:
    trials, regret, sources = summarized.tables().split("\n\n")
    assert [line.split(" | ")[0] for line in trials.split("\n")[2:]] == ["| a", "| b", "| c"]
    assert "| >2 |" in trials  # 3 trials of a budget of 2
    assert regret.split("\n")[-1] == "| **mean** | 0.40 | 1.00 | 1.00 |"
    assert sources.count("hurts") == 1
