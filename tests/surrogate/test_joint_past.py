"""What past studies say of hyper-parameters, against GPs written out in numpy."""

from __future__ import annotations

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.distributions import FloatDistribution
import pytest
from scipy.spatial.distance import cdist
import torch

from optuna_tnas.errors import CheckpointError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import Node
from optuna_tnas.spaces.hyperparameters import Hyperparameters
from optuna_tnas.spaces.joint import JointSpace
from optuna_tnas.surrogate.joint_past import PastHyperparameters
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import normal_scores
from optuna_tnas.surrogate.past import PastStudies
from tests.small_config import SMALL


CELLS = CellSpace([Node("a", ["conv", "pool"]), Node("b", ["none", "conv", "pool"], ["a"])])
BESIDE = Hyperparameters(
    {
        "optimizer": CategoricalDistribution(["sgd", "adam"]),
        "rate": FloatDistribution(1e-4, 1, log=True),
    }
)
JOINT = JointSpace(CELLS, BESIDE)
Rows = list[tuple[np.ndarray, np.ndarray]]


def past_rows() -> Rows:
    """Two studies that prefer adam and a rate of about 0.01; in the second one both noisier."""
    studies = []
    for seed in (0, 1):
        rows = JOINT.sample(30, np.random.default_rng(seed))
        noise = 0.1 * (1 + seed) * np.random.default_rng(seed).standard_normal(30)
        y = rows[:, 2] - 8 * (rows[:, 3] - 0.5) ** 2 + 0.2 * (rows[:, 1] == 1) + noise
        studies.append((rows, y))
    return studies


@pytest.fixture
def informed() -> MetaSurrogate:
    surrogate = MetaSurrogate(CELLS, SMALL)
    studies = past_rows()
    split = [JOINT.split(rows) for rows, _ in studies]
    surrogate.past = PastStudies.fit(
        surrogate.network,
        surrogate.structure,
        [(X, y, None) for (X, _), (_, y) in zip(split, studies, strict=True)],
        (BESIDE, [H for _, H in split]),
    )
    return surrogate


def matern(squared: np.ndarray) -> np.ndarray:
    a = np.sqrt(5 * squared)
    return (1 + a + a**2 / 3) * np.exp(-a)


@torch.no_grad()
def kernel(surrogate: MetaSurrogate, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    network, scales = surrogate.network, beside(surrogate).scales
    latents, structure = [], []
    for rows in (A, B):
        X, _ = JOINT.split(rows)
        Z = network.latents(network.encode_architectures(X), network.encode_dataset(None))
        latents.append((Z / network.hyperparameters.lengthscale).numpy())
        structure.append(surrogate.structure(X).numpy())
    w = scales.relevances
    different = [w[d] * (A[:, d, None] != B[:, d]) for d in (0, 1, 2)]
    distance = sum(different) + w[3] * (A[:, 3, None] - B[:, 3]) ** 2
    v1, v2, v3 = scales.variances
    return np.asarray(
        v1 * matern(cdist(*latents, "sqeuclidean"))
        + v2 * np.exp(-cdist(*structure, "sqeuclidean") / 2)
        + v3 * matern(distance)
    )


def beside(surrogate: MetaSurrogate) -> PastHyperparameters:
    assert surrogate.past is not None and surrogate.past.beside is not None
    return surrogate.past.beside


def test_prediction_is_the_mean_of_the_studies_gps(informed: MetaSurrogate) -> None:
    rows = JOINT.sample(40, np.random.default_rng(5))
    predict = informed.joint_prediction(None, JOINT)
    assert predict is not None
    means = []
    for trials, y in past_rows():
        K = kernel(informed, trials, trials) + beside(informed).scales.noise * np.eye(len(y))
        means.append(kernel(informed, rows, trials) @ np.linalg.solve(K, normal_scores(y)))
    np.testing.assert_allclose(predict(rows).numpy(), np.transpose(means) / 2, atol=1e-5)


def test_prediction_finds_what_was_good(informed: MetaSurrogate) -> None:
    rows = JOINT.sample(500, np.random.default_rng(6))
    predict = informed.joint_prediction(None, JOINT)
    assert predict is not None
    best = JOINT.decode(rows[int(predict(rows).sum(dim=1).argmax())])
    assert best["optimizer"] == "adam" and 1e-3 < best["rate"] < 1e-1


def test_ranges_and_choices_may_differ_now(informed: MetaSurrogate) -> None:
    """Values count, not positions; what the past does not know of does not matter."""
    now = JointSpace(
        CELLS,
        Hyperparameters(
            {
                "dropout": FloatDistribution(0, 1),
                "optimizer": CategoricalDistribution(["lion", "adam"]),
                "rate": FloatDistribution(1e-6, 0.1, log=True),
            }
        ),
    )
    params = {**CELLS.decode(np.array([0, 1])), "optimizer": "adam", "rate": 0.01}
    predict, predict_now = (informed.joint_prediction(None, space) for space in (JOINT, now))
    assert predict is not None and predict_now is not None
    expected = predict(JOINT.encode(params)[None])
    for dropout in (0.0, 0.7):
        row = now.encode({**params, "dropout": dropout})[None]
        torch.testing.assert_close(predict_now(row), expected, atol=1e-6, rtol=0)
    lion = now.encode({**params, "optimizer": "lion", "dropout": 0.0})[None]
    assert torch.isfinite(predict_now(lion)).all()
    assert (predict_now(lion) < expected).all()


def test_a_checkpoint_keeps_it(informed: MetaSurrogate, tmp_path) -> None:  # type: ignore[no-untyped-def]
    informed.save(tmp_path / "meta.pt")
    again = MetaSurrogate.load(tmp_path / "meta.pt")
    assert again.past_hyperparameters == BESIDE
    rows = JOINT.sample(20, np.random.default_rng(7))
    before, after = (s.joint_prediction(None, JOINT) for s in (informed, again))
    assert before is not None and after is not None
    torch.testing.assert_close(before(rows), after(rows))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("coordinates", torch.zeros(3, 2)),
        ("alpha", torch.zeros(5)),
        ("distributions", {"rate": "no distribution"}),
        ("scales", {"variances": [1.0], "noise": 1.0, "relevances": [1.0] * 4}),
        ("scales", {"variances": [1.0] * 3, "noise": float("nan"), "relevances": [1.0] * 4}),
    ],
)
def test_contradictory_ones_are_damaged(
    informed: MetaSurrogate, tmp_path, key: str, value: object
) -> None:  # type: ignore[no-untyped-def]
    informed.save(tmp_path / "meta.pt")
    content = torch.load(tmp_path / "meta.pt", weights_only=True)
    content["past"]["beside"][key] = value
    torch.save(content, tmp_path / "meta.pt")
    with pytest.raises(CheckpointError):
        MetaSurrogate.load(tmp_path / "meta.pt")


def test_the_study_begins_with_the_pasts_relevances(informed: MetaSurrogate) -> None:
    now = JointSpace(
        CELLS,
        Hyperparameters(
            {
                "dropout": FloatDistribution(0, 1),
                "rate": FloatDistribution(1e-6, 0.1, log=True),
                "optimizer": CategoricalDistribution(["lion", "adam"]),
            }
        ),
    )
    known = beside(informed).scales.relevances
    found = beside(informed).relevances(now)
    assert found[:2] == known[:2]
    assert np.isnan(found[2])
    assert found[3:] == (known[3], known[2])
    assert known[3] > 10 * known[0]  # the rate matters, the first cell does not
