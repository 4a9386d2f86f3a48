"""The network: what its latents depend on, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from optuna_tnas.config import Config
from optuna_tnas.datasets.sample import DatasetSample
from optuna_tnas.errors import DatasetError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.surrogate.deep_kernel_gp import DeepKernelGP
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate


@pytest.fixture(scope="module")
def network(surrogate_of: Callable[[str], MetaSurrogate]) -> DeepKernelGP:
    return surrogate_of("nasbench201").network


def latents(network: DeepKernelGP, X: np.ndarray, sample: DatasetSample | None) -> torch.Tensor:
    with torch.no_grad():
        return network.latents(network.encode_architectures(X), network.encode_dataset(sample))


def sample_of(seed: int, n_features: int = 5) -> DatasetSample:
    points = np.random.default_rng(seed).standard_normal((90, n_features)) + seed
    return DatasetSample.from_features(points, np.arange(90) % 3)


def test_cells_that_compute_the_same_share_one_encoding(network: DeepKernelGP) -> None:
    """With op_2_3 = none, node 2 feeds nothing; what leads to it does not count."""
    rng = np.random.default_rng(0)
    X = network.space.sample(60, rng)
    X[:, 5] = 0
    other = X.copy()
    other[:, [1, 2]] = rng.integers(0, 5, size=(60, 2))
    assert (other != X).any(axis=1).sum() > 30
    encoded = network.encode_architectures(np.concatenate([X, other]))
    assert torch.equal(encoded[:60], encoded[60:])
    with_node_2 = np.where(np.arange(6) == 5, 3, X)
    assert not torch.allclose(network.encode_architectures(with_node_2), encoded[:60])


def test_cells_without_a_path_share_one_encoding(network: DeepKernelGP) -> None:
    cut = np.array([[0, 0, 2, 0, 3, 4], [3, 1, 2, 0, 0, 0], [0] * 6, [2, 2, 2, 0, 0, 0]])
    encoded = network.encode_architectures(cut)
    assert all(torch.equal(row, encoded[0]) for row in encoded)


def test_encoding_does_not_depend_on_the_batch(
    network: DeepKernelGP, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = network.space.sample(40, np.random.default_rng(0))
    whole = network.encode_architectures(X)
    alone = torch.cat([network.encode_architectures(x[None]) for x in X])
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=1e-5)
    monkeypatch.setattr("optuna_tnas.surrogate.deep_kernel_gp._CHUNK", 7)
    torch.testing.assert_close(network.encode_architectures(X), whole, atol=1e-5, rtol=1e-5)


def test_latents_are_what_the_deep_kernel_sees(network: DeepKernelGP) -> None:
    X, sample = network.space.sample(20, np.random.default_rng(0)), sample_of(0)
    phi = network.encode_dataset(sample)
    pairs = torch.cat([network.encode_architectures(X), phi.expand(20, -1)], dim=1)
    Z = latents(network, X, sample)
    assert Z.dtype == torch.double
    base = network.kernel.base_kernel(Z).to_dense()
    torch.testing.assert_close(network.kernel(pairs).to_dense(), base)


def test_latents_depend_on_the_data_set_and_repeat(network: DeepKernelGP) -> None:
    X = network.space.sample(5, np.random.default_rng(0))
    Z = latents(network, X, sample_of(0))
    assert torch.equal(latents(network, X, sample_of(0)), Z)
    assert not torch.allclose(latents(network, X, sample_of(1)), Z)
    assert not torch.allclose(latents(network, X, None), Z)


def test_data_set_is_drawn_anew_from_the_generator(network: DeepKernelGP) -> None:
    rng = np.random.default_rng(0)
    first, second = (network.encode_datasets([sample_of(0)], rng) for _ in range(2))
    assert not torch.equal(first, second)


def test_another_width_of_points_is_refused(network: DeepKernelGP) -> None:
    with pytest.raises(DatasetError, match=r"7 features.* 5"):
        network.encode_dataset(sample_of(0, n_features=7))
    network.check_dataset(None)


def test_weights_depend_on_the_seed_alone(small_config: Config) -> None:
    def weights(seed: int) -> torch.Tensor:
        network = DeepKernelGP(NASBench201Space(), small_config, 5, seed)
        return torch.cat([p.detach().double().flatten() for p in network.parameters()])

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
        network = DeepKernelGP(space, Config.preset(preset), 5, 0)
        X = space.sample(50, np.random.default_rng(1))
        with torch.no_grad():
            K = network.kernel.base_kernel(latents(network, X, None)).to_dense()
        K = K / network.hyperparameters.outputscale
        assert 0.1 < K[~torch.eye(50, dtype=torch.bool)].median() < 0.9


def test_a_space_of_one_architecture_has_a_kernel() -> None:
    network = DeepKernelGP(CellSpace.on_edges(2, ("conv",)), Config(), 5, 0)
    assert network.hyperparameters.lengthscale > 0


@pytest.mark.parametrize("default", [torch.device("meta"), torch.float64])
def test_default_device_and_precision_do_not_matter(
    small_config: Config, default: torch.device | torch.dtype
) -> None:
    try:
        if isinstance(default, torch.device):
            torch.set_default_device(default)
        else:
            torch.set_default_dtype(default)
        network = DeepKernelGP(NASBench201Space(), small_config, 5, 0).requires_grad_(False)
        Z = latents(network, network.space.sample(4, np.random.default_rng(0)), None)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert Z.device.type == "cpu"
    assert network.architecture_encoder.readout[0].weight.dtype == torch.float32
