"""A wider space reads architectures of the narrower one by the values of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.distributions import IntDistribution
from optuna.trial import BaseTrial
from optuna.trial import create_trial
from optuna.trial import TrialState
import pytest

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import ExtendedSpace
from optuna_tnas.spaces import Space


OPS = ("conv", "pool", "skip")


def cell(*more: str) -> Space:
    """The new operation comes first, so that positions change."""
    return CellSpace.on_edges(3, (*more, *OPS), zero=["skip"])


def mlp(most: int, width: int, norms: tuple[str, ...] = ()) -> Callable[[BaseTrial], list[str]]:
    def build(trial: BaseTrial) -> list[str]:
        layers = []
        for i in range(trial.suggest_int("n_layers", 1, most)):
            layers.append(f"linear_{trial.suggest_int(f'width_{i}', 16, width, step=16)}")
            norm = trial.suggest_categorical(f"norm_{i}", norms) if norms else "none"
            if norm != "none":
                layers.append(norm)
        return layers

    return build


def made(*arguments: Any) -> Space:
    return Space.from_define_by_run(mlp(*arguments), n_runs=50)


NONE = {f"norm_{i}": "none" for i in range(4)}


def grown_cell() -> ExtendedSpace:
    return cell().extended(cell("attention"))


def grown_mlp() -> ExtendedSpace:
    return made(2, 48).extended(made(4, 96, ("layer", "none")), added=NONE)


def twice_grown() -> ExtendedSpace:
    middle = made(2, 48).extended(made(3, 48))
    return middle.extended(made(4, 96, ("layer", "none")), added=NONE)


GROWN = [grown_cell, grown_mlp, twice_grown]


@pytest.mark.parametrize("grown", GROWN)
def test_architectures_keep_their_values_and_graphs(grown: Callable[[], ExtendedSpace]) -> None:
    wider = grown()
    for narrower in wider.earlier:
        for row in narrower.sample(30, np.random.default_rng(0)):
            params = narrower.decode(row)
            found = wider.decode(wider.encode(params))
            new = {n: v for n, v in found.items() if n not in params}
            assert found == {**params, **new}
            assert all(v == "none" for v in new.values())
            graphs = [s.to_graph(p) for s, p in ((narrower, params), (wider, found))]
            assert nx.is_isomorphic(*graphs, node_match=lambda a, b: a["op"] == b["op"])


@pytest.mark.parametrize("grown", GROWN)
def test_in_all_else_it_is_the_wider_space(grown: Callable[[], ExtendedSpace]) -> None:
    wider = grown()
    assert wider.difference(wider.whole) is None
    assert wider.named_fingerprint == wider.whole.named_fingerprint
    for row in wider.sample(30, np.random.default_rng(0)):
        assert wider.encode(wider.decode(row)).tolist() == row.tolist()


def test_trials_are_converted_for_a_new_study() -> None:
    narrower, wider = cell(), grown_cell()
    params = narrower.decode(narrower.sample(1, np.random.default_rng(0))[0])
    rate = IntDistribution(1, 9)
    distributions = {**narrower.distributions(), "batch": rate, "other": rate}
    params |= {"batch": 3}
    theirs = {name: distributions[name] for name in params}
    trial = create_trial(params=params, distributions=theirs, value=1.5, user_attrs={"a": 1})
    foreign = create_trial(params={"other": 3}, distributions={"other": rate}, value=1.0)
    running = create_trial(params=params, distributions=theirs, state=TrialState.RUNNING)
    (found,) = wider.converted([trial, foreign, running])
    assert (found.params, found.value, found.user_attrs) == (params, 1.5, {"a": 1})
    assert found.distributions == {**wider.distributions(), "batch": rate}
    assert trial.distributions == theirs


def test_ranges_may_change_in_a_study_and_choices_may_not() -> None:
    wider = grown_mlp()
    assert wider.accepts("n_layers", IntDistribution(1, 2))
    assert wider.accepts("n_layers", IntDistribution(1, 4))
    assert not wider.accepts("n_layers", IntDistribution(1, 3))
    assert not grown_cell().accepts("op_0_1", CategoricalDistribution(OPS))
    assert twice_grown().accepts("n_layers", IntDistribution(1, 3))


@pytest.mark.parametrize(
    ("narrower", "wider", "added", "message"),
    [
        (cell("attention"), cell(), {}, r"lacks the choice 'attention' of 'op_0_1'"),
        (cell(), CellSpace.on_edges(2, OPS), {}, "lacks the parameter 'op_0_2'"),
        (made(2, 48), made(4, 96, ("layer", "none")), {}, r"(?s)'norm_0'.*added="),
        (made(2, 48), made(4, 96, ("layer",)), NONE, r"'norm_0' = 'none'.*'layer'"),
        (made(2, 48), made(4, 96), {"n_layers": 3}, r"'n_layers'; the new parameters are"),
    ],
)
def test_what_does_not_hold_the_narrower_space_is_refused(
    narrower: Space, wider: Space, added: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        narrower.extended(wider, added=added)
