"""The surrogate as a whole: what its latents depend on, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from optuna_tnas.config import Config
from optuna_tnas.datasets import DatasetSample
from optuna_tnas.errors import DatasetError
from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate


@pytest.fixture(scope="module")
def surrogate(surrogate_of: Callable[[str], MetaSurrogate]) -> MetaSurrogate:
    return surrogate_of("nasbench201")


def sample_of(seed: int, n_features: int = 5) -> DatasetSample:
    points = np.random.default_rng(seed).standard_normal((90, n_features)) + seed
    return DatasetSample.from_features(points, np.arange(90) % 3)


def test_cells_that_compute_the_same_share_one_encoding(surrogate: MetaSurrogate) -> None:
    """With op_2_3 = none, node 2 feeds nothing; what leads to it does not count."""
    rng = np.random.default_rng(0)
    X = surrogate.space.sample(60, rng)
    X[:, 5] = 0
    other = X.copy()
    other[:, [1, 2]] = rng.integers(0, 5, size=(60, 2))
    assert (other != X).any(axis=1).sum() > 30
    encoded = surrogate.encode_architectures(np.concatenate([X, other]))
    assert torch.equal(encoded[:60], encoded[60:])
    with_node_2 = np.where(np.arange(6) == 5, 3, X)
    assert not torch.allclose(surrogate.encode_architectures(with_node_2), encoded[:60])


def test_cells_without_a_path_share_one_encoding(surrogate: MetaSurrogate) -> None:
    cut = np.array([[0, 0, 2, 0, 3, 4], [3, 1, 2, 0, 0, 0], [0] * 6, [2, 2, 2, 0, 0, 0]])
    encoded = surrogate.encode_architectures(cut)
    assert all(torch.equal(row, encoded[0]) for row in encoded)


def test_encoding_does_not_depend_on_the_batch(
    surrogate: MetaSurrogate, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = surrogate.space.sample(40, np.random.default_rng(0))
    whole = surrogate.encode_architectures(X)
    alone = torch.cat([surrogate.encode_architectures(x[None]) for x in X])
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=1e-5)
    monkeypatch.setattr("optuna_tnas.surrogate.meta_surrogate._CHUNK", 7)
    torch.testing.assert_close(surrogate.encode_architectures(X), whole, atol=1e-5, rtol=1e-5)


def test_latents_are_what_the_deep_kernel_sees(surrogate: MetaSurrogate) -> None:
    X, sample = surrogate.space.sample(20, np.random.default_rng(0)), sample_of(0)
    phi = surrogate.encode_dataset(sample, np.random.default_rng(0))
    pairs = torch.cat([surrogate.encode_architectures(X), phi.expand(20, -1)], dim=1)
    Z = surrogate.latents(X, sample)
    assert Z.dtype == torch.double
    base = surrogate.kernel.base_kernel(Z).to_dense()
    torch.testing.assert_close(surrogate.kernel(pairs).to_dense(), base)


def test_latents_depend_on_the_data_set_and_repeat(surrogate: MetaSurrogate) -> None:
    X = surrogate.space.sample(5, np.random.default_rng(0))
    Z = surrogate.latents(X, sample_of(0))
    assert torch.equal(surrogate.latents(X, sample_of(0)), Z)
    assert not torch.allclose(surrogate.latents(X, sample_of(1)), Z)
    assert not torch.allclose(surrogate.latents(X, None), Z)


def test_data_set_is_drawn_anew_from_the_generator(surrogate: MetaSurrogate) -> None:
    rng = np.random.default_rng(0)
    first, second = (surrogate.encode_dataset(sample_of(0), rng) for _ in range(2))
    assert not torch.equal(first, second)


def test_another_width_of_points_is_refused(surrogate: MetaSurrogate) -> None:
    with pytest.raises(DatasetError, match=r"7 features.* 5"):
        surrogate.latents(surrogate.warm_start, sample_of(0, n_features=7))
    surrogate.check_dataset(None)


def test_weights_depend_on_the_seed_alone(small_config: Config) -> None:
    def weights(seed: int) -> torch.Tensor:
        surrogate = MetaSurrogate(NASBench201Space(), small_config, seed=seed)
        return torch.cat([p.detach().double().flatten() for p in surrogate.parameters()])

    torch.manual_seed(3)
    state, np_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = weights(0)
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == np_state).all()
    torch.manual_seed(4)
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_an_untrained_kernel_tells_architectures_apart(preset: str) -> None:
    for space in (NASBench201Space(), CellSpace.on_edges(3, ("none", "conv"), zero=["none"])):
        surrogate = MetaSurrogate(space, Config.preset(preset))
        X = space.sample(50, np.random.default_rng(1))
        with torch.no_grad():
            K = surrogate.kernel.base_kernel(surrogate.latents(X, None)).to_dense()
        K = K / surrogate.hyperparameters.outputscale
        assert 0.1 < K[~torch.eye(50, dtype=torch.bool)].median() < 0.9


def test_a_space_of_one_architecture_has_a_kernel() -> None:
    surrogate = MetaSurrogate(CellSpace.on_edges(2, ("conv",)))
    assert surrogate.hyperparameters.lengthscale > 0


@pytest.mark.parametrize("default", [torch.device("meta"), torch.float64])
def test_default_device_and_precision_do_not_matter(
    small_config: Config, default: torch.device | torch.dtype
) -> None:
    try:
        if isinstance(default, torch.device):
            torch.set_default_device(default)
        else:
            torch.set_default_dtype(default)
        surrogate = MetaSurrogate(NASBench201Space(), small_config)
        Z = surrogate.latents(surrogate.space.sample(4, np.random.default_rng(0)), None)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert Z.device.type == "cpu"
    assert surrogate.architecture_encoder.readout[0].weight.dtype == torch.float32


def test_renamed_keeps_everything_but_names(surrogate: MetaSurrogate) -> None:
    names = [f"edge_{i}" for i in range(6)]
    twin = surrogate.renamed(NASBench201Space(names=names))
    X = surrogate.space.sample(5, np.random.default_rng(0))
    assert torch.equal(twin.latents(X, None), surrogate.latents(X, None))
    assert list(twin.space.distributions()) == names
    assert next(iter(surrogate.space.distributions())) == "op_0_1"


def test_another_space_is_refused_with_the_difference(surrogate: MetaSurrogate) -> None:
    other = CellSpace.on_edges(4, ("none", "skip_connect"), zero=["none"])
    with pytest.raises(SpaceError, match=r"op_0_1.*nor_conv_3x3.*skip_connect"):
        surrogate.renamed(other)


def test_summary_is_plain_data(surrogate: MetaSurrogate) -> None:
    import json

    summary = json.loads(json.dumps(surrogate.summary()))
    assert summary["space"]["size"] == 15625
    assert summary["weights"] == sum(p.numel() for p in surrogate.parameters())
    assert set(summary["hyper-parameters"]) == {"mean", "outputscale", "lengthscale", "noise"}


def test_a_confined_surrogate_describes_architectures_as_the_whole_one_does() -> None:
    space = NASBench201Space()
    rng = np.random.default_rng(0)
    whole = MetaSurrogate(space).requires_grad_(False)
    whole.warm_start = space.sample(6, rng)
    X = np.concatenate([whole.warm_start[2:4], space.sample(10, rng)])
    confined = whole.confined(X)
    torch.testing.assert_close(confined.inputs(X, None), whole.inputs(X, None))
    np.testing.assert_array_equal(confined.warm_start, whole.warm_start[2:4])
    assert len(whole.warm_start) == 6
