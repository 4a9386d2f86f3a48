"""What the past studies predict, against a plain loop over a GP for each of them."""

from __future__ import annotations

from collections.abc import Callable

from gpytorch.kernels import MaternKernel
from gpytorch.kernels import RBFKernel
import numpy as np
import pytest
import torch
from torch import Tensor

from optuna_tnas.config import Config
from optuna_tnas.datasets.sample import DatasetSample
from optuna_tnas.spaces import Space
from optuna_tnas.surrogate import kernels
from optuna_tnas.surrogate import past
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.numerics import controlled_numerics
from optuna_tnas.surrogate.outcomes import normal_scores
from optuna_tnas.surrogate.past import PastPredictor
from optuna_tnas.surrogate.past import PastStudies


Study = tuple[np.ndarray, np.ndarray, DatasetSample | None]


@pytest.fixture
def surrogate(space: Space, config: Config) -> MetaSurrogate:
    return MetaSurrogate(space, config, n_features=5)


@pytest.fixture
def studies(space: Space, dataset_of: Callable[[int, float], DatasetSample]) -> list[Study]:
    """Five studies with repeated architectures: two on one data set, two on unknown ones."""
    found: list[Study] = []
    for seed, dataset in enumerate([dataset_of(0, 1.0), dataset_of(1, -1.0), None, None]):
        X = space.sample(20, np.random.default_rng(seed))
        X[-3:] = X[:3]
        y = (X == 2).sum(axis=1) + 0.3 * np.random.default_rng(seed).standard_normal(20)
        found.append((X, y, dataset))
    X, y, _ = found[2]
    return [*found, (X[5:], -y[5:], dataset_of(0, 1.0))]


def fit(surrogate: MetaSurrogate, studies: list[Study]) -> PastStudies:
    return PastStudies.fit(surrogate.network, surrogate.structure, studies)


def predictor(surrogate: MetaSurrogate, studies: list[Study]) -> PastPredictor:
    return PastPredictor(fit(surrogate, studies), surrogate.network, surrogate.structure)


@torch.no_grad()
def latents(surrogate: MetaSurrogate, X: np.ndarray, dataset: DatasetSample | None) -> Tensor:
    network = surrogate.network
    Z = network.latents(network.encode_architectures(X), network.encode_dataset(dataset))
    return Z / network.hyperparameters.lengthscale


def kernel(surrogate: MetaSurrogate, study: Study, A: np.ndarray, B: np.ndarray) -> Tensor:
    """Half of gpytorch's Matern on the study's latents, and half of its RBF on the structure."""
    base, rbf = (k.double().initialize(lengthscale=1.0) for k in (MaternKernel(2.5), RBFKernel()))
    deep = base(*(latents(surrogate, X, study[2]) for X in (A, B))).to_dense()
    counts = rbf(surrogate.structure(A), surrogate.structure(B)).to_dense()
    return ((deep + counts) / 2).detach()


def posterior_mean(surrogate: MetaSurrogate, study: Study, X: np.ndarray) -> Tensor:
    trials, y, _ = study
    noisy = kernel(surrogate, study, trials, trials) + 0.1 * torch.eye(len(y)).double()
    alpha = torch.linalg.solve(noisy, torch.from_numpy(normal_scores(y)))
    return kernel(surrogate, study, X, trials) @ alpha


def test_predictor_is_a_loop_over_the_studies_gps(
    surrogate: MetaSurrogate, studies: list[Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    X = surrogate.space.enumerate()
    expected = torch.stack([posterior_mean(surrogate, study, X) for study in studies], dim=1)
    predict = predictor(surrogate, studies)
    assert predict.n_studies == 5
    torch.testing.assert_close(predict(X), expected, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(kernels, "_MAX_CACHED", 100)
    torch.testing.assert_close(predict(X), expected, rtol=1e-4, atol=1e-5)


@controlled_numerics()  # as in a search: encodings in single precision depend on the threads
def test_a_study_predicts_the_same_whatever_the_others_are(
    surrogate: MetaSurrogate, studies: list[Study]
) -> None:
    X = surrogate.space.enumerate()
    together = predictor(surrogate, studies)(X)
    for q, study in enumerate(studies):
        alone = predictor(surrogate, [study])(X)[:, 0]
        torch.testing.assert_close(alone, together[:, q], rtol=1e-5, atol=1e-6)


def test_equal_architectures_and_equal_studies_have_equal_predictions(
    surrogate: MetaSurrogate, studies: list[Study]
) -> None:
    X = surrogate.space.enumerate()[[5, 9, 5, 5]]
    found = predictor(surrogate, [studies[0], studies[1], studies[0]])(X)
    torch.testing.assert_close(found[[0, 0, 0]], found[[0, 2, 3]])
    torch.testing.assert_close(found[:, 0], found[:, 2])


def test_relevance_is_the_mean_correlation_of_the_trials_on_both_data_sets(
    surrogate: MetaSurrogate,
    studies: list[Study],
    dataset_of: Callable[[int, float], DatasetSample],
) -> None:
    base = MaternKernel(nu=2.5).double().initialize(lengthscale=1.0)
    predict = predictor(surrogate, studies)
    for sample in (None, dataset_of(0, 1.0), dataset_of(9, 1.0)):
        similarity = [
            base(latents(surrogate, X, sample), latents(surrogate, X, there)).diagonal().mean()
            for X, _, there in studies
        ]
        expected = torch.stack(similarity).detach() + 0.01
        torch.testing.assert_close(
            predict.relevance(sample), expected / expected.sum(), rtol=1e-4, atol=1e-6
        )


def test_studies_share_columns_of_predictions_where_there_are_many(
    surrogate: MetaSurrogate, studies: list[Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = predictor(surrogate, studies)
    relevance = predict.relevance(None)
    torch.testing.assert_close(predict.weights(None), relevance.diag())
    monkeypatch.setattr(past, "_MAX_COLUMNS", 2)
    shared = predict.weights(None)
    assert (shared > 0).tolist() == [[True, False], [False, True]] * 2 + [[True, False]]
    torch.testing.assert_close(shared.sum(dim=1), relevance)


def test_similarities_are_what_relevances_are_made_of(
    surrogate: MetaSurrogate,
    studies: list[Study],
    dataset_of: Callable[[int, float], DatasetSample],
) -> None:
    predict, sample = predictor(surrogate, studies), dataset_of(9, 1.0)
    values = predict.similarities(sample)
    assert values.shape == (6, 5)
    torch.testing.assert_close(values[:5], predict.similarities())
    torch.testing.assert_close(values[:5].diagonal(), torch.ones(5).double())
    for row, dataset in ((values[5], sample), (values[1], studies[1][2])):
        expected = (row + 0.01) / (row + 0.01).sum()
        torch.testing.assert_close(predict.relevance(dataset), expected)


def test_unknown_data_set_is_like_all_known_ones(
    surrogate: MetaSurrogate, studies: list[Study]
) -> None:
    relevance = predictor(surrogate, studies[:2]).relevance(None)
    torch.testing.assert_close(relevance, torch.full((2,), 0.5).double())


def test_equal_outcomes_predict_nothing(surrogate: MetaSurrogate, studies: list[Study]) -> None:
    X, y, dataset = studies[0]
    found = fit(surrogate, [(X, np.full_like(y, 0.5), dataset)])
    assert not found.alpha.any()


def test_prediction_ranks_what_the_study_saw(
    surrogate: MetaSurrogate, studies: list[Study]
) -> None:
    X, y, _ = studies[0]
    found = predictor(surrogate, studies)(X)[:, 0]
    assert np.corrcoef(found.numpy(), normal_scores(y))[0, 1] > 0.9


def test_very_long_studies_are_thinned(
    surrogate: MetaSurrogate, studies: list[Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "MAX_TRIALS", 10)
    found = fit(surrogate, studies)
    assert np.bincount(found.study_index).tolist() == 5 * [10]
    assert found.X.shape == (50, 3)
    assert found.alpha.shape == (2, 50)
    assert found.alpha.dtype == torch.double


def test_state_restores_everything(surrogate: MetaSurrogate, studies: list[Study]) -> None:
    found = fit(surrogate, studies)
    again = PastStudies.from_state(found.state(), surrogate.network)
    np.testing.assert_array_equal(again.X, found.X)
    np.testing.assert_array_equal(again.study_index, found.study_index)
    assert torch.equal(again.alpha, found.alpha)
    assert torch.equal(again.dataset_encodings, found.dataset_encodings)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("X", lambda v: v + 9),
        ("X", lambda v: v[:-1]),
        ("task", lambda v: v + 1),
        ("task", lambda v: v - 1),
        ("datasets", lambda v: v[:, 1:]),
        ("weights", lambda v: v[:1]),
    ],
)
def test_contradictory_states_are_refused(
    surrogate: MetaSurrogate,
    studies: list[Study],
    name: str,
    change: Callable[[Tensor], Tensor],
) -> None:
    state = fit(surrogate, studies).state()
    with pytest.raises(ValueError, match=r"architectures outside|another shape|not there"):
        PastStudies.from_state({**state, name: change(state[name])}, surrogate.network)


# --- several metrics ------------------------------------------------------------------------


@controlled_numerics()  # as in a search: several threads add up in an order of their own
def test_each_metric_is_predicted_as_if_the_others_were_not_there(
    surrogate: MetaSurrogate, studies: list[Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_PRECISION", torch.float64)
    metrics = (0, 1, 1, 0, 1)
    network, structure = surrogate.network, surrogate.structure
    both = PastStudies.fit(network, structure, studies, metrics=metrics)
    predict, X = PastPredictor(both, network, structure), studies[0][0]
    encoded, sample = network.encode_architectures(X), studies[1][2]
    found = predict.predict(encoded, structure(X), predict.weights(sample)).split([2, 3], 1)
    for metric, columns in enumerate(found):
        mine = [s for s, of in zip(studies, metrics, strict=True) if of == metric]
        alone = predictor(surrogate, mine)
        expected = alone.predict(encoded, structure(X), alone.weights(sample))
        torch.testing.assert_close(columns, expected)
        torch.testing.assert_close(
            predict.relevance(sample)[predict.of_metric(metric)], alone.relevance(sample)
        )


def test_metrics_come_back(surrogate: MetaSurrogate, studies: list[Study]) -> None:
    network = surrogate.network
    past = PastStudies.fit(network, surrogate.structure, studies, metrics=(0, 1, 1, 0, 1))
    state = past.state()
    assert PastStudies.from_state(state, network).metrics == past.metrics
    for wrong in ([0, 1], [0, 1, 1, 0, -1]):
        with pytest.raises(ValueError, match="metrics of other studies"):
            PastStudies.from_state({**state, "metrics": wrong}, network)
    del state["metrics"]  # as in earlier versions
    assert not PastStudies.from_state(state, network).metric_index.any()
