"""Zero-cost proxies against closed forms and invariances."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
import logging
import math
import os
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch import Tensor
from torch.nn import functional

from benchmarks.questions import proxies as published
from optuna_tnas.demo.networks import NASBench201Network
from optuna_tnas.errors import FeatureError
from optuna_tnas.features import PROXIES
from optuna_tnas.features import Proxies
from optuna_tnas.features import proxies as module
from optuna_tnas.spaces import count_macs
from optuna_tnas.spaces import count_parameters
from optuna_tnas.spaces import NASBench201Space


SPACE = NASBench201Space()
B = 8
GENERATOR = torch.Generator().manual_seed(0)
IMAGES, LABELS = torch.randn(B, 3, 8, 8, generator=GENERATOR), torch.arange(B) % 3
POINTS, TARGETS = (torch.randn(B, n, generator=GENERATOR) for n in (5, 2))
CELLS = [SPACE.decode(row) for row in SPACE.sample(4, np.random.default_rng(0))]
EMPTY = dict.fromkeys(SPACE.distributions(), "none")


def cell(params: dict[str, Any]) -> nn.Module:
    return NASBench201Network(list(params.values()), 3, 3, width=4)


def linear(*widths: int, bias: bool = False) -> nn.Sequential:
    torch.manual_seed(1)
    layers = [nn.Linear(i, o, bias=bias) for i, o in pairwise(widths)]
    return nn.Sequential(*(m for layer in layers for m in (layer, nn.ReLU())))[:-1]


# --- each proxy -----------------------------------------------------------------------------


@pytest.mark.parametrize("params", CELLS, ids=range(4))
def test_sizes_are_those_of_the_space(params: dict[str, Any]) -> None:
    found = Proxies(cell, IMAGES, LABELS, ("parameters", "macs"))(params)
    kwargs = {"variant": "demo", "width": 4, "cells_per_stage": 1, "n_classes": 3, "resolution": 8}
    assert found["parameters"] == count_parameters(SPACE, params, **kwargs)
    assert found["macs"] == count_macs(SPACE, params, **kwargs)


def test_nwot_is_the_determinant_of_agreeing_units() -> None:
    network = linear(5, 40, 2)
    on = (POINTS @ network[0].weight.detach().T > 0).double().numpy()
    agree = (on[:, None] == on).sum(axis=2)
    expected = np.linalg.slogdet(agree)[1]
    assert module.nwot(network, POINTS, LABELS) == pytest.approx(expected)
    assert module.nwot(network, 3 * POINTS, LABELS) == pytest.approx(expected)
    assert module.nwot(network, POINTS.flip(0), LABELS) == pytest.approx(expected)


@pytest.mark.parametrize(
    "rectify",
    [functional.relu, torch.relu, Tensor.relu_, nn.ReLU(inplace=True), functional.relu6],
    ids=range(5),
)
def test_nwot_sees_rectifiers_of_any_kind(rectify: Callable[[Tensor], Tensor]) -> None:
    class Network(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return rectify(x.clone())

    expected = module.nwot(nn.ReLU(), IMAGES, LABELS)
    assert module.nwot(Network(), IMAGES, LABELS) == pytest.approx(expected)


def test_nwot_without_rectifiers_is_missing() -> None:
    assert math.isnan(module.nwot(nn.Linear(5, 2), POINTS, LABELS))


def test_jacov_of_a_linear_network_is_that_of_equal_gradients() -> None:
    k = 1e-5
    expected = -(math.log(B + k) + 1 / (B + k) + (B - 1) * (math.log(k) + 1 / k))
    assert module.jacov(linear(5, 2), POINTS, LABELS) == pytest.approx(expected, rel=1e-6)


def test_jacov_is_higher_where_inputs_are_told_apart() -> None:
    wide, narrow = linear(5, 64, 64, 2), linear(5, 4, 2)
    values = [module.jacov(n, POINTS, LABELS) for n in (wide, narrow)]
    assert values[0] > values[1]
    flipped = module.jacov(wide, POINTS.flip(0), LABELS)
    assert flipped == pytest.approx(values[0], rel=1e-4)


def test_synflow_is_conserved_from_layer_to_layer() -> None:
    """Tanaka et al., theorem 1: every layer's sum is the output."""
    network = linear(5, 7, 6, 2)
    through = torch.ones(5).double()
    for layer in network[::2]:
        through = layer.weight.detach().double().abs() @ through
    expected = math.log(3 * through.sum())
    assert module.synflow(network, POINTS, LABELS) == pytest.approx(expected)


def test_synflow_depends_neither_on_data_nor_on_normalization() -> None:
    def network(*norm: nn.Module) -> nn.Sequential:
        first, relu, second = linear(5, 6, 2)
        return nn.Sequential(first, *norm, relu, second)

    expected = module.synflow(network(), POINTS, LABELS)
    for norm in (nn.BatchNorm1d(6), nn.LayerNorm(6), nn.GroupNorm(2, 6)):
        assert module.synflow(network(norm), 5 * POINTS, LABELS) == pytest.approx(expected)


def test_snip_is_the_sum_of_a_gates_slopes() -> None:
    network = linear(5, 2)
    W, h = network[0].weight, 1e-3
    total = 0.0
    for index in np.ndindex(*W.shape):
        losses = []
        for factor in (1 + h, 1 - h):
            gated = W.detach().clone()
            gated[index] *= factor
            losses.append(functional.cross_entropy(POINTS @ gated.T, LABELS % 2))
        total += abs(float(losses[0] - losses[1])) / (2 * h)
    assert module.snip(network, POINTS, LABELS % 2) == pytest.approx(total, rel=1e-2)


def test_snip_ignores_how_layers_share_their_scale() -> None:
    network = linear(5, 6, 2)
    before = module.snip(network, POINTS, LABELS % 2)
    with torch.no_grad():
        network[0].weight.mul_(10)
        network[2].weight.div_(10)
    assert module.snip(network, POINTS, LABELS % 2) == pytest.approx(before, rel=1e-4)


def test_grad_norm_of_a_regression_is_its_closed_form() -> None:
    network = linear(5, 2)
    residual = POINTS @ network[0].weight.detach().T - TARGETS
    expected = (2 * residual.T @ POINTS / residual.numel()).norm()
    assert module.grad_norm(network, POINTS, TARGETS) == pytest.approx(float(expected), rel=1e-5)


def test_zen_of_a_convolution_is_its_expectation() -> None:
    """Each output is normal, with the variance of 27 products of normal numbers."""
    torch.manual_seed(0)
    x, layer = torch.zeros(64, 3, 18, 18), nn.Conv2d(3, 32, 3)
    expected = math.log(0.01 * 32 * 16**2 * math.sqrt(27 * 2 / math.pi))
    network = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2))
    assert module.zen(network, x, LABELS) == pytest.approx(expected, abs=0.05)


def test_zen_makes_up_for_normalization() -> None:
    x = torch.zeros(64, 3, 18, 18)
    found = []
    for norm in ([], [nn.BatchNorm2d(32)]):
        torch.manual_seed(0)
        found.append(module.zen(nn.Sequential(nn.Conv2d(3, 32, 3), *norm), x, LABELS))
    assert found[1] == pytest.approx(found[0], abs=0.05)


# --- all together ---------------------------------------------------------------------------


def test_features_depend_on_the_architecture_alone() -> None:
    proxies = Proxies(cell, IMAGES, LABELS)
    found = [proxies(params) for params in CELLS]
    assert [proxies(params) for params in reversed(CELLS)] == found[::-1]
    state = torch.get_rng_state()
    other = Proxies(cell, IMAGES.numpy(), LABELS.numpy(), ("zen", "snip"))(CELLS[0])
    assert other == {name: found[0][name] for name in ("zen", "snip")}
    assert torch.equal(torch.get_rng_state(), state)
    assert all(list(f) == list(PROXIES) for f in found)


def test_another_seed_is_another_initialization() -> None:
    first, second = (Proxies(cell, IMAGES, LABELS, seed=s)(CELLS[0]) for s in (0, 1))
    same = {name for name in PROXIES if first[name] == second[name]}
    assert same == {"parameters", "macs"}


def test_proxies_can_be_pickled() -> None:
    proxies = Proxies(cell, IMAGES, LABELS)
    assert pickle.loads(pickle.dumps(proxies))(CELLS[0]) == proxies(CELLS[0])


def test_a_network_that_ignores_its_input_has_missing_features(caplog: Any) -> None:
    found = Proxies(cell, IMAGES, LABELS)(EMPTY)
    assert found["parameters"] > 0 and math.isfinite(found["grad_norm"])
    assert math.isnan(found["jacov"]) and math.isnan(found["nwot"])
    assert all(isinstance(value, float) for value in found.values())


class Rounded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.one_hot(x.flatten(1).argmax(dim=1), 300).float()[:, :3]


class Exploding(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(1e30 * (1e30 * x))


class Broken(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("calculated output size is too small")


@pytest.mark.parametrize("network", [Rounded, Exploding, Broken])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_cannot_be_computed_is_missing(network: Any, caplog: Any) -> None:
    def build(params: dict[str, Any]) -> nn.Module:
        return Rounded() if network is Rounded else network(5, 3)

    proxies = Proxies(build, POINTS, LABELS)
    found = proxies({"a": 1})
    assert math.isnan(found["snip"]) and math.isnan(found["grad_norm"])
    assert not any(math.isinf(value) for value in found.values())
    n_warned = len(caplog.records)
    proxies({"a": 2})
    assert len(caplog.records) == n_warned
    if network is Broken:
        assert "'snip' cannot be computed for {'a': 1}" in caplog.text
        assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize(
    ("x", "y", "names", "said"),
    [
        (POINTS, LABELS, ("nwot", "luck"), r"'luck'.*'zen'"),
        (POINTS.to(torch.uint8), LABELS, ("nwot",), r"torch.uint8.*x\.float"),
        (POINTS, LABELS[:3], ("nwot",), r"\(8, 5\) and \(3,\)"),
        (POINTS[:1], LABELS[:1], ("nwot",), r"at least 2"),
        (POINTS[:, 0], LABELS, ("nwot",), r"\(8,\)"),
    ],
)
def test_what_is_no_minibatch_is_an_error(x: Any, y: Any, names: Any, said: str) -> None:
    with pytest.raises(FeatureError, match=said):
        Proxies(cell, x, y, names)


@pytest.mark.skipif("not __import__('os').environ.get('OPTUNA_TNAS_DATA')", reason="needs tables")
def test_proxies_rank_cells_as_the_published_ones() -> None:
    """Of a network a hundredth as expensive; ``benchmarks.questions.proxies`` has the original."""
    assert os.environ["OPTUNA_TNAS_DATA"]
    x, y = published.minibatch(32, 8, seed=0)
    ours, theirs, _ = published.compare(24, x, y, width=4, cells_per_stage=1)
    rank = {name: rho for name, rho, _ in published.correlations(ours, theirs)}
    least = {"parameters": 0.99, "macs": 0.95, "nwot": 0.85, "synflow": 0.95}
    assert all(rank[name] > bound for name, bound in least.items()), rank
    assert min(rank[name] for name in ("snip", "grad_norm", "jacov", "zen")) > 0.4, rank
