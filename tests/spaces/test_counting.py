"""Counts against networks that are built and run, and against published figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from optuna_tnas.demo.networks import NASBench201Network
from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import count_macs
from optuna_tnas.spaces import count_parameters
from optuna_tnas.spaces import MobileNetV3Space
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces import Node
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.nasbench201 import NASBENCH201_OPS


CELLS = NASBench201Space()
MOBILE = MobileNetV3Space()
CELL_NAMES = list(CELLS.distributions())


def assert_counts(
    network: nn.Module, space: Space, params: dict[str, Any], resolution: int, **keywords: Any
) -> None:
    """The counts are those of PyTorch."""
    n_parameters = sum(p.numel() for p in network.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, resolution, resolution))
    keywords["resolution"] = resolution
    assert count_parameters(space, params, **keywords) == n_parameters
    assert 2 * count_macs(space, params, **keywords) == counter.get_total_flops()


def drawn(space: Space, n: int) -> list[dict[str, Any]]:
    return [space.decode(row) for row in space.sample(n, np.random.default_rng(0))]


# --- NAS-Bench-201 --------------------------------------------------------------------------


def convolution(n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(n_out),
    )


class Cell(nn.Module):
    def __init__(self, ops: list[str], width: int) -> None:
        super().__init__()
        made: dict[str, Callable[[], nn.Module]] = {
            "nor_conv_1x1": lambda: convolution(width, width, 1),
            "nor_conv_3x3": lambda: convolution(width, width, 3),
            "avg_pool_3x3": lambda: nn.AvgPool2d(3, 1, 1),
            "skip_connect": nn.Identity,
        }
        self.ops = nn.ModuleList(made[op]() if op != "none" else nn.Identity() for op in ops)
        self.scale = [float(op != "none") for op in ops]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b, c, d, e, f = [
            lambda x, op=op, scale=scale: scale * op(x)
            for op, scale in zip(self.ops, self.scale, strict=True)
        ]
        first = a(x)
        second = b(x) + c(first)
        return d(x) + e(first) + f(second)


class Reduction(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.block = nn.Sequential(convolution(n_in, n_out, 3, 2), convolution(n_out, n_out, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(n_in, n_out, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x) + self.shortcut(x)


def published_network(ops: list[str], width: int, n_cells: int, n_classes: int) -> nn.Module:
    layers = [convolution(3, width, 3)]
    for stage in range(3):
        if stage:
            layers.append(Reduction(width, 2 * width))
            width *= 2
        layers += [Cell(ops, width) for _ in range(n_cells)]
    layers += [nn.BatchNorm2d(width), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(width, n_classes))


@pytest.mark.parametrize("params", drawn(CELLS, 6))
@pytest.mark.parametrize("width, n_cells, n_classes, size", [(16, 5, 10, 32), (4, 2, 120, 16)])
def test_cells_in_the_published_network(
    params: dict[str, Any], width: int, n_cells: int, n_classes: int, size: int
) -> None:
    network = published_network(list(params.values()), width, n_cells, n_classes)
    keywords = {"width": width, "cells_per_stage": n_cells, "n_classes": n_classes}
    assert_counts(network, CELLS, params, size, **keywords)


@pytest.mark.parametrize("params", [*drawn(CELLS, 12), dict.fromkeys(CELL_NAMES, "none")])
def test_cells_in_the_network_that_the_demo_trains(params: dict[str, Any]) -> None:
    network = NASBench201Network(list(params.values()), 3, 7, width=8, cells_per_stage=2)
    keywords = {"width": 8, "cells_per_stage": 2, "n_classes": 7}
    assert_counts(network, CELLS, params, 16, variant="demo", **keywords)


@pytest.mark.parametrize(
    "ops, millions",
    [
        ("333333", 1.531546),
        ("421211", 0.129306),
        ("334131", 0.802426),
        ("412443", 0.344346),
        ("343112", 0.587386),
    ],
)
def test_published_sizes_of_cells(ops: str, millions: float) -> None:
    chosen = [NASBENCH201_OPS[int(op)] for op in ops]
    params = dict(zip(CELL_NAMES, chosen, strict=True))
    assert count_parameters(CELLS, params) == round(1e6 * millions)


# --- once-for-all's MobileNetV3 -------------------------------------------------------------


class SqueezeExcitation(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        squeezed = max(8, (width // 4 + 4) // 8 * 8)
        squeezed += 8 * (squeezed < 0.9 * (width // 4))
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, width, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


def once_for_all(params: dict[str, Any], widths: list[int], n_classes: int) -> nn.Module:
    """The sub-network; ``widths`` are those of the stem, first block, stages and last layers."""
    stem, width, *stages, expanded, mixed = widths
    layers = [convolution(3, stem, 3, 2), convolution(stem, stem, 3, groups=stem)]
    layers.append(convolution(stem, width, 1))
    for stage, new_width in enumerate(stages, start=1):
        for layer in range(1, params[f"depth_{stage}"] + 1):
            middle = width * params[f"expand_{stage}_{layer}"]
            stride = 2 if layer == 1 and stage != 4 else 1
            kernel = params[f"kernel_{stage}_{layer}"]
            layers.append(convolution(width, middle, 1))
            layers.append(convolution(middle, middle, kernel, stride, groups=middle))
            layers += [SqueezeExcitation(middle)] if stage in (2, 4, 5) else []
            layers.append(convolution(middle, new_width, 1))
            width = new_width
    layers += [convolution(width, expanded, 1), nn.AdaptiveAvgPool2d(1)]
    layers += [nn.Conv2d(expanded, mixed, 1, bias=False), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(mixed, n_classes))


WIDTHS = {
    1.0: [16, 16, 24, 40, 80, 112, 160, 960, 1280],
    1.2: [24, 24, 32, 48, 96, 136, 192, 1152, 1536],
}


@pytest.mark.parametrize("params", drawn(MOBILE, 3))
@pytest.mark.parametrize("multiplier, size, n_classes", [(1.0, 224, 1000), (1.2, 70, 10)])
def test_sub_networks_of_once_for_all(
    params: dict[str, Any], multiplier: float, size: int, n_classes: int
) -> None:
    network = once_for_all(params, WIDTHS[multiplier], n_classes)
    keywords = {"width_multiplier": multiplier, "n_classes": n_classes}
    assert_counts(network, MOBILE, params, size, **keywords)


@pytest.mark.parametrize(
    "kernels, expands, depths, n_parameters, n_macs",
    [
        ("57553337553773335555", "43444634434336664344", "23243", 5029656, 255502624),
        ("75777753555557355535", "44434643336464464444", "43443", 5157336, 350135008),
        ("35375753533575735575", "34336636634466333343", "24242", 4283920, 254582064),
        ("33333533557775555535", "33463334344643336433", "22334", 4688360, 193219520),
    ],
)
def test_published_figures_of_sub_networks(
    kernels: str, expands: str, depths: str, n_parameters: int, n_macs: int
) -> None:
    params = sub_network(kernels, expands, depths)
    assert count_parameters(MOBILE, params) == n_parameters
    assert count_macs(MOBILE, params) == n_macs


def sub_network(kernels: str, expands: str, depths: str) -> dict[str, Any]:
    """Parameters from digits: kernels and expansions of 20 layers, and five depths."""
    params = {f"depth_{s}": int(depth) for s, depth in enumerate(depths, start=1)}
    for i, (kernel, expand) in enumerate(zip(kernels, expands, strict=True)):
        place = f"{i // 4 + 1}_{i % 4 + 1}"
        params |= {f"kernel_{place}": int(kernel), f"expand_{place}": int(expand)}
    return params


def test_all_published_figures_of_sub_networks(
    table: Callable[[str], list[dict[str, str]]],
) -> None:
    for row in table("ofa_mobilenetv3_imagenet"):
        params = sub_network(*(row[name].replace(" ", "") for name in ("ks", "e", "d")))
        assert count_parameters(MOBILE, params) == int(row["params"])
        assert count_macs(MOBILE, params, resolution=int(row["r"])) == int(row["macs"])


# --- what is asked --------------------------------------------------------------------------


def test_names_do_not_matter() -> None:
    renamed = NASBench201Space(names=list("abcdef"))
    params = dict.fromkeys("abcdef", "nor_conv_1x1")
    theirs = dict.fromkeys(CELL_NAMES, "nor_conv_1x1")
    assert count_macs(renamed, params) == count_macs(CELLS, theirs)


@pytest.mark.parametrize(
    "keywords, named",
    [
        ({"width": 0}, "width"),
        ({"n_classes": -1}, "n_classes"),
        ({"cells_per_stage": 1.5}, "whole number"),
        ({"resolution": 30}, "multiple of 4"),
        ({"variant": "other"}, "'other'"),
    ],
)
def test_impossible_networks_are_refused(keywords: dict[str, Any], named: str) -> None:
    with pytest.raises(SpaceError, match=named):
        count_macs(CELLS, dict.fromkeys(CELL_NAMES, "none"), **keywords)


def test_no_width_is_refused() -> None:
    with pytest.raises(SpaceError, match="width_multiplier"):
        count_macs(MOBILE, drawn(MOBILE, 1)[0], width_multiplier=0)


@pytest.mark.parametrize("count", [count_macs, count_parameters])
def test_other_spaces_and_incomplete_architectures_are_refused(count: Callable[..., int]) -> None:
    with pytest.raises(SpaceError, match="can be counted"):
        count(CellSpace([Node("a", ["x", "y"])]), {"op_a": "x"})
    with pytest.raises(SpaceError, match="missing"):
        count(CELLS, {})
