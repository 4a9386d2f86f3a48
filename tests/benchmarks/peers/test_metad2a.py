from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import optuna
from optuna.study import Study
import pytest
from scipy.stats import spearmanr
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.past_settings import study_of
from benchmarks.peers import _generator
from benchmarks.peers import _predictor
from benchmarks.peers import metad2a
from benchmarks.peers import Setting
from benchmarks.peers._datasets import Learning
from benchmarks.peers._datasets import Pairs
from benchmarks.peers._generator import Generator
from benchmarks.peers._generator import train_generator
from benchmarks.peers._predictor import Predictor
from benchmarks.peers._predictor import train_predictor
from optuna_tnas import DatasetSample
from optuna_tnas import MetaDataset
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import prune
from optuna_tnas.spaces import SubsetSpace
from optuna_tnas.spaces.graphs import same_graph


SPACE = CellSpace.on_edges(3, ["skip", "conv", "pool"], zero=[])
WITH_ZERO = CellSpace.on_edges(3, ["none", "skip", "conv", "pool"], zero=["none"])
ROWS = SPACE.enumerate()
SMALL = Learning(hidden=16, latent=8, rate=5e-3, epochs=12)
BRIEF = replace(SMALL, epochs=1)
KINDS = np.array([-1.0, -0.8, -0.6, 0.6, 0.8, 1.0])  # of the past data sets


def sample(kind: float) -> DatasetSample:
    """Points whose mean tells the kind."""
    rng = np.random.default_rng(7)
    return DatasetSample.from_features(kind + 0.2 * rng.normal(size=(12, 3)), [0, 1, 2] * 4)


def values(kind: float) -> np.ndarray:
    """One kind of data set wants convolutions where the other wants pooling."""
    gains = np.array([0.0, 1 + kind, 1 - kind])
    return np.asarray(gains[ROWS].sum(axis=1))


def studies() -> tuple[Study, ...]:
    params = [SPACE.decode(row) for row in ROWS]
    return tuple(
        study_of(f"kind {kind}", SPACE.distributions(), params, values(kind)) for kind in KINDS
    )


@pytest.fixture(scope="module")
def past() -> MetaDataset:
    samples = {f"kind {kind}": sample(kind) for kind in KINDS}
    return MetaDataset.from_studies(studies(), SPACE, datasets=samples)


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.setattr(metad2a, "PREDICTOR", BRIEF)
    monkeypatch.setattr(metad2a, "GENERATOR", BRIEF)
    samples = {f"kind {kind}": sample(kind) for kind in KINDS}
    return Setting(SPACE, studies(), 0, tmp_path / "meta", dataset=sample(0.9), samples=samples)


def search(setting: Setting, n: int = 12) -> np.ndarray:
    """``n x P``: what is tried, whatever the values are."""
    study = optuna.create_study(direction="maximize", sampler=peers.make("metad2a", setting))
    study.optimize(lambda trial: float(len(setting.space.suggest(trial))), n)
    return np.array([setting.space.encode(trial.params) for trial in study.trials])


# --- predictor ------------------------------------------------------------------------------


def test_predicts_what_depends_on_the_data_set(past: MetaDataset) -> None:
    """On data sets that were left out, and only when told the right one.

    It starts where the encodings of data sets differ and tanh bends. Labels have mean 0 on each
    data set, so the initial weights are next to a saddle that small steps take long to leave.
    """
    learning = Learning(hidden=64, latent=16, rate=4e-3, epochs=40, batch=40)
    predictor = Predictor(past, learning, 0)
    with torch.no_grad():
        predictor.encoders.dataset_encoder.across_classes.out.weight *= 30
        predictor.layers[0].bias.copy_(torch.linspace(-1.5, 1.5, learning.hidden))
    train_predictor(predictor, past, learning, 0)
    for kind in (-0.9, 0.9):
        right, wrong = (
            predictor.predict(ROWS, sample(told), np.random.default_rng(0))
            for told in (kind, -kind)
        )
        assert spearmanr(right, values(kind)).statistic > 0.7
        assert spearmanr(wrong, values(kind)).statistic < 0.4


def test_the_epoch_with_the_best_correlation_is_kept(
    past: MetaDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, seen = iter([0.1, 0.7, 0.3]), []

    def correlation(predictor: Predictor, pairs: Pairs) -> float:
        seen.append(predictor.layers[0].weight.detach().clone())
        return next(script)

    monkeypatch.setattr(_predictor, "correlation", correlation)
    learning = replace(SMALL, epochs=3)
    predictor = Predictor(past, learning, 0)
    train_predictor(predictor, past, learning, 0)
    assert torch.equal(predictor.layers[0].weight, seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_a_tenth_of_the_pairs_is_held_out_at_most_400(past: MetaDataset) -> None:
    pairs = Pairs.of(past)
    held_out, rest = _predictor.hold_out(pairs, np.random.default_rng(0))
    assert len(held_out) == len(pairs) // 10
    both = [
        {(i, *row) for i, row in zip(p.index, p.X.tolist(), strict=False)}
        for p in (held_out, rest)
    ]
    assert not both[0] & both[1]
    assert len(both[0] | both[1]) == len(pairs) == 27 * len(KINDS)
    many = pairs.take(np.zeros(5000, dtype=np.int64))
    assert len(_predictor.hold_out(many, np.random.default_rng(0))[0]) == 400


def test_correlation_is_numpys(past: MetaDataset) -> None:
    predictor, pairs = Predictor(past, BRIEF, 0), Pairs.of(past)
    with torch.no_grad():
        predicted = predictor.of_pairs(pairs, np.random.default_rng(0)).numpy()
        expected = np.corrcoef(predicted, pairs.y)[0, 1]
        assert _predictor.correlation(predictor, pairs) == pytest.approx(expected, abs=1e-5)
        assert _predictor.correlation(predictor, pairs.take(np.arange(1))) == -1


# --- generator ------------------------------------------------------------------------------


def z_of(generator: Generator, kind: float, n: int) -> Tensor:
    encoded = generator.encoders.encode_dataset(sample(kind))
    return generator.posterior(encoded).chunk(2, dim=-1)[0].expand(n, -1)


def test_good_architectures_become_likely(past: MetaDataset) -> None:
    """Those of the data set, on data sets that were left out."""
    learning = replace(SMALL, epochs=40)
    generator = Generator(past, learning, 0)
    train_generator(generator, past, learning, 0)
    for kind in (-0.9, 0.9):
        good = ROWS[np.argsort(-values(kind))[:10]]
        with torch.no_grad():
            own, other = (
                generator.log_likelihood(z_of(generator, k, 10), good).mean()
                for k in (kind, -kind)
            )
        uniform = -np.log(len(ROWS))
        assert own > uniform + 0.5
        assert own > other + 0.5


def test_probabilities_sum_to_one_and_are_drawn_by(past: MetaDataset) -> None:
    generator = Generator(past, SMALL, 0)
    with torch.no_grad():
        generator.score.weight *= 10  # far from uniform
        p = generator.log_likelihood(z_of(generator, 0.5, len(ROWS)), ROWS).exp().numpy()
        X = generator.sample(z_of(generator, 0.5, 20_000), np.random.default_rng(0))
    assert p.sum() == pytest.approx(1, abs=1e-5)
    assert p.max() > 3 * p.min()
    frequencies = np.bincount(SPACE.indices(X), minlength=len(ROWS)) / len(X)
    np.testing.assert_allclose(frequencies, p[np.argsort(SPACE.indices(ROWS))], atol=0.01)


def test_loss_is_the_likelihood_and_the_divergence(
    past: MetaDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_generator, "_NOISE", 0.0)
    generator, pairs = Generator(past, SMALL, 0), Pairs.of(past, 10)
    with torch.no_grad():
        found = _generator.loss(generator, pairs, np.random.default_rng(0))
        encoded = pairs.encoded_datasets(generator.encoders, np.random.default_rng(0))
        mean, log_variance = generator.posterior(encoded).chunk(2, dim=-1)
        z = torch.distributions.Normal(mean, log_variance.exp().sqrt())
        kl = torch.distributions.kl_divergence(z, torch.distributions.Normal(0, 1)).sum(dim=1)
        expected = 0.005 * kl - generator.log_likelihood(mean, pairs.X)
    assert float(found) == pytest.approx(float(expected.mean()), rel=1e-5)


def test_learns_from_the_ten_best_of_each_study(past: MetaDataset) -> None:
    pairs = Pairs.of(past, 10)
    assert len(pairs) == 10 * len(KINDS)
    for q, kind in enumerate(KINDS):
        worst_taken = min(
            values(kind)[ROWS.tolist().index(x)] for x in pairs.X[pairs.index == q].tolist()
        )
        assert worst_taken == np.sort(values(kind))[-10]


def test_candidates_are_different_networks_with_a_path() -> None:
    X = WITH_ZERO.sample(300, np.random.default_rng(0))
    kept = metad2a.different(WITH_ZERO, X)
    graphs = [prune(WITH_ZERO.to_graph(WITH_ZERO.decode(row)), WITH_ZERO.zero) for row in X]
    expected: dict[int, nx.DiGraph] = {}
    for i, graph in enumerate(graphs):
        ends = [
            {n for n, op in graph.nodes(data="op") if op == end} for end in ("input", "output")
        ]
        (source,), (sink,) = ends
        if nx.has_path(graph, source, sink) and not any(
            same_graph(graph, other) for other in expected.values()
        ):
            expected[i] = graph
    assert 10 < len(expected) < len(np.unique(X, axis=0))
    np.testing.assert_array_equal(kept, X[list(expected)])


# --- search ---------------------------------------------------------------------------------


def test_order_of_the_mean_prediction_over_ten_draws(setting: Setting) -> None:
    tried = search(setting)
    past = MetaDataset.from_studies(setting.history, SPACE, datasets=setting.samples)
    predictor = Predictor(past, BRIEF, 99)
    (file,) = setting.cache.glob("*predictor*")
    predictor.load_state_dict(torch.load(file))
    rng = np.random.default_rng([setting.seed, 0])
    with torch.no_grad():
        drawn = [predictor.encoders.encode_datasets([setting.dataset], rng) for _ in range(10)]
        psi = predictor.encoders.encode_architectures(tried)
        each = [predictor.layers(torch.cat([d.expand(12, -1), psi], dim=1)) for d in drawn]
    assert (np.diff(np.mean(each, axis=0)[:, 0]) <= 1e-6).all()
    assert len(np.unique(tried, axis=0)) == 12


def test_listed_architectures_are_all_candidates_without_a_generator(setting: Setting) -> None:
    listed = SubsetSpace.of(SPACE, ROWS[::3])
    tried = search(replace(setting, space=listed), len(listed.rows) + 2)
    assert sorted(tried[:-2].tolist()) == listed.rows.tolist()
    assert not list(setting.cache.glob("*generator*"))


def test_the_draws_end(setting: Setting) -> None:
    """The space has less than 500 networks; random ones follow the candidates."""
    assert len(metad2a.candidates(setting)) <= len(ROWS)
    assert len(search(setting, len(ROWS) + 3)) == len(ROWS) + 3


def test_same_seed_same_trials(setting: Setting) -> None:
    first = search(setting)
    torch.manual_seed(5)
    again = search(replace(setting, cache=setting.cache.with_name("again")))
    other = search(replace(setting, cache=setting.cache.with_name("other"), seed=1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_resumed_run_does_not_train_again(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = search(setting)

    def refuse(*_: Any) -> None:
        raise AssertionError("trained again")

    for train in ("train_predictor", "train_generator"):
        monkeypatch.setattr(metad2a, train, refuse)
    np.testing.assert_array_equal(first, search(setting))
    monkeypatch.setattr(metad2a, "PREDICTOR", replace(BRIEF, epochs=2))
    with pytest.raises(AssertionError, match="trained again"):
        search(setting)


def test_without_data_sets(setting: Setting) -> None:
    with pytest.raises(ValueError, match="metad2a reads the target's data set; give the setting"):
        peers.make("metad2a", replace(setting, dataset=None))
    samples = {name: s for name, s in setting.samples.items() if name != "kind 1.0"}
    with pytest.raises(ValueError, match=r"the setting's samples lack \['kind 1.0'\]"):
        peers.make("metad2a", replace(setting, samples=samples))
