"""What the plots show, as arrays."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import create_trial
import pytest

from optuna_tnas import MetaSurrogate
from optuna_tnas import TNASSampler
from optuna_tnas.errors import StudyError
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.graphs import prune
from optuna_tnas.visualization.data import Architecture
from optuna_tnas.visualization.data import Fronts
from optuna_tnas.visualization.data import NO_PAST
from optuna_tnas.visualization.data import Operations
from optuna_tnas.visualization.data import OTHERS
from optuna_tnas.visualization.data import Predictions
from optuna_tnas.visualization.data import Similarities
from optuna_tnas.visualization.data import Sources


def build(trial: Any) -> list[str]:
    return [trial.suggest_categorical(f"op{i}", ["conv", "none"]) for i in range(2)]


@pytest.mark.parametrize(
    "space",
    [NASBench201Space(), MobileNetV3Space(), Space.from_define_by_run(build, zero=["none"])],
    ids=["nasbench201", "mobilenetv3", "code"],
)
def test_operations_that_do_not_count_are_told_apart(space: Space) -> None:
    for row in space.sample(5, np.random.default_rng(0)):
        params = space.decode(row)
        drawn = Architecture.of(space, params)
        graph = space.to_graph(params)
        assert drawn.labels == {v: str(op) for v, op in graph.nodes(data="op")}
        assert drawn.alive == set(prune(graph, space.zero))
        assert not any(drawn.labels[v] == "none" for v in drawn.alive)


def test_a_label_has_one_color_in_all_architectures() -> None:
    space = NASBench201Space()
    colors: dict[str, set[int]] = {}
    for row in space.sample(20, np.random.default_rng(0)):
        drawn = Architecture.of(space, space.decode(row))
        for vertex, label in drawn.labels.items():
            colors.setdefault(label, set()).add(drawn.colors[vertex])
    assert {len(found) for found in colors.values()} == {1}
    assert len(colors) == len(set().union(*colors.values())) == 7


def test_sources_are_those_of_the_explanations(study: Study, sampler: TNASSampler) -> None:
    found = Sources.of(study, sampler)
    assert list(found.numbers) == list(range(12))
    assert list(found.shares) == ["letters", "digits", NO_PAST] or list(found.shares) == [
        "digits",
        "letters",
        NO_PAST,
    ]
    np.testing.assert_allclose(np.sum([*found.shares.values()], axis=0), 1)
    last = sampler.explain(study, study.trials[11])
    assert found.shares[NO_PAST][11] == last.no_past
    assert found.shares["digits"][11] == last.sources["digits"]
    assert np.isnan(found.past_weight[0]) and found.past_weight[11] == last.past_weight


def test_of_many_past_studies_the_least_relevant_are_summed_up(
    study: Study, sampler: TNASSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optuna_tnas.visualization.data._MAX_SOURCES", 1)
    found = Sources.of(study, sampler)
    assert list(found.shares)[1:] == [OTHERS, NO_PAST]
    np.testing.assert_allclose(np.sum([*found.shares.values()], axis=0), 1)


def test_of_many_trials_some_are_explained(
    study: Study, sampler: TNASSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optuna_tnas.visualization.data._MAX_POINTS", 4)
    assert list(Sources.of(study, sampler).numbers) == [0, 3, 7, 11]


def test_predictions_are_read_or_computed(
    study: Study, sampler: TNASSampler, cells: Space
) -> None:
    read = Predictions.of(study, sampler)
    assert list(read.numbers) == [t.number for t in study.trials if "tnas:mean" in t.user_attrs]
    bare = optuna.create_study(direction="maximize")
    for trial in study.trials:
        twin = create_trial(
            params=trial.params, distributions=trial.distributions, value=trial.value
        )
        twin.datetime_start, twin.datetime_complete = trial.datetime_start, trial.datetime_complete
        twin.user_attrs = {"tnas:mean": "high", "tnas:std": [1]}  # hostile, or of others
        bare.add_trial(twin)
    computed = Predictions.of(bare, sampler)
    kept = np.isin(computed.numbers, read.numbers)
    np.testing.assert_allclose(computed.mean[kept], read.mean, rtol=1e-9)
    np.testing.assert_allclose(computed.std[kept], read.std, rtol=1e-9)


def test_coverage_counts_values_within_two_deviations() -> None:
    found = Predictions(range(4), np.zeros(4), np.ones(4), np.array([-1.9, 0.0, 2.1, 1.0]))
    assert found.covered == 0.75 and "75% of 4" in found.title


def test_fronts_hold_what_was_measured_and_what_the_past_predicts(
    two_objectives: Study, knowing_both: TNASSampler
) -> None:
    found = Fronts.of(two_objectives, knowing_both)
    assert list(found.names) == ["accuracy", "latency"]
    assert found.values.tolist() == [t.values for t in two_objectives.trials]
    for predicted, measured in zip(found.predicted.T, found.values.T, strict=True):
        assert np.corrcoef(predicted, measured)[0, 1] > 0.8  # in the objective's direction
    best = sorted(tuple(t.values) for t in two_objectives.best_trials)
    assert sorted(map(tuple, found.front(found.values))) == best
    assert len(found.random) == 1000


def test_an_objective_that_no_past_knows_has_no_prediction(
    two_objectives: Study, sampler: TNASSampler
) -> None:
    found = Fronts.of(two_objectives, sampler)
    assert np.isfinite(found.predicted[:, 0]).all() and np.isnan(found.predicted[:, 1]).all()
    assert len(found.front(found.predicted)) == 0


def test_fronts_are_of_two_objectives(study: Study, sampler: TNASSampler) -> None:
    with pytest.raises(StudyError, match=r"1 objectives.*2"):
        Fronts.of(study, sampler)


def test_operations_are_counted_where_they_count(cells: Space) -> None:
    study = optuna.create_study()
    rows = [
        ({"op_a": "skip", "op_b": "conv", "link_b": "a", "op_c": "conv"}, {"skip": 1, "conv": 2}),
        ({"op_a": "conv", "op_b": "conv", "link_b": "input", "op_c": "conv"}, {"conv": 3}),
        ({"op_a": "pool", "op_b": "none", "link_b": "a", "op_c": "conv"}, {}),
    ]
    for number, (params, _) in enumerate(rows):
        study.add_trial(
            create_trial(params=params, distributions=cells.distributions(), value=float(number))
        )
    found = Operations.of(study, cells)
    for name, column in found.counts.items():
        pruned = [prune(cells.to_graph(params), cells.zero) for params, _ in rows]
        expected = [[op for _, op in graph.nodes(data="op")].count(name) for graph in pruned]
        assert column.tolist() == expected
    assert {"skip", "conv"} <= set(found.counts) and "none" not in found.counts
    assert found.values.tolist() == [0.0, 1.0, 2.0]


def test_data_sets_are_compared_with_the_one_searched_on(
    sampler: TNASSampler, surrogate: MetaSurrogate
) -> None:
    found = Similarities.of(sampler)
    assert (found.rows, found.columns) == (("digits", "letters", "this search"), found.rows[:2])
    assert found.values.shape == (3, 2)
    alone = Similarities.of(surrogate)
    assert alone.rows == alone.columns == ("digits", "letters")
    np.testing.assert_array_equal(alone.values, found.values[:2])


def test_what_there_is_nothing_to_plot_of_is_told(
    empty: Study, sampler: TNASSampler, cells: Space, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(Sources.of(empty, sampler).numbers) == 0
    assert len(Predictions.of(empty, sampler).values) == 0
    assert Operations.of(empty, cells).counts == {}
    assert Similarities.of(MetaSurrogate(cells)).columns == ()
    warned = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert sum("'nothing yet' has no completed trial" in message for message in warned) == 3
    assert sum("no past studies" in message for message in warned) == 1
