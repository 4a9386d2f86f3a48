"""A small surrogate over a small space, and a GP on a study that it encodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from optuna_tnas.config import Config
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.elements import Condition
from optuna_tnas.spaces.elements import Edge
from optuna_tnas.spaces.elements import Parameter
from optuna_tnas.spaces.elements import Vertex
from optuna_tnas.surrogate.gp import Mixture
from optuna_tnas.surrogate.labels import scale_labels
from optuna_tnas.surrogate.prior import MetaSurrogate


def conditional_space() -> Space:
    """A second layer whose parameter counts only where the layer exists: 2 + 2 * 3 networks."""
    parameters = (
        Parameter("kernel", (3, 5)),
        Parameter("more", (False, True)),
        Parameter("kernel_2", (3, 5, 7), Condition(1, (1,))),
    )
    second = tuple(f"k{k}" if more else None for more in (False, True) for k in (3, 5, 7))
    vertices = (Vertex("1", (0,), ("k3", "k5")), Vertex("2", (1, 2), second))
    return Space(parameters, vertices, (Edge(0, 1), Edge(1, 2)), (), True)


SPACES: dict[str, Callable[[], Space]] = {
    "small": lambda: CellSpace.on_edges(3, ("none", "skip", "conv", "pool"), zero=["none"]),
    "conditional": conditional_space,
    "nasbench201": NASBench201Space,
    "mobilenetv3": MobileNetV3Space,
}


@pytest.fixture(scope="session")
def small_config() -> Config:
    return Config(
        architecture_hidden=16,
        architecture_dim=8,
        dataset_width=8,
        dataset_heads=2,
        dataset_dim=4,
        joint_layers=(16, 8),
    )


@pytest.fixture(scope="session")
def surrogate_of(small_config: Config) -> Callable[[str], MetaSurrogate]:
    """An untrained surrogate of a space by name."""

    def make(name: str) -> MetaSurrogate:
        surrogate = MetaSurrogate(SPACES[name](), small_config, n_features=5)
        return surrogate.requires_grad_(False).eval()

    return make


@pytest.fixture(scope="session")
def study_gp() -> Callable[[MetaSurrogate, np.ndarray], Mixture]:
    """GPs on made-up values of some architectures."""

    def make(surrogate: MetaSurrogate, X: np.ndarray, seed: int = 0) -> Mixture:
        noise = np.random.default_rng(seed).standard_normal(len(X))
        y = torch.from_numpy(scale_labels(X.sum(axis=1) + 0.3 * noise))
        return surrogate.condition(surrogate.inputs(X, None), y)

    return make
