"""Zero-cost proxies: what a network says at its initialization, from one minibatch.

Each proxy takes a freshly initialized network and a minibatch, and returns a number; which values
are good is for the trials to tell. They follow the papers, and Abdelfattah et al., "Zero-cost
proxies for lightweight NAS" (ICLR 2021), in what of a network counts.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from copy import deepcopy
import math
from typing import Any

import numpy as np
from optuna.logging import get_logger
import torch
from torch import nn
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from optuna_tnas.errors import FeatureError


Build = Callable[[dict[str, Any]], nn.Module]

_logger = get_logger(f"optuna.{__name__}")

_NORMALIZATIONS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
)
_WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)
_aten = torch.ops.aten
# What switches a unit off where its input is 0 or less.
_RECTIFIERS = frozenset(
    packet.default
    for packet in (
        *(_aten.relu, _aten.relu_, _aten.hardtanh, _aten.hardtanh_, _aten.leaky_relu),
        *(_aten.leaky_relu_, _aten.elu, _aten.elu_, _aten.gelu, _aten.silu, _aten.silu_),
        *(_aten.hardswish, _aten.hardswish_),
    )
)
_STEP = 0.01  # of Zen-NAS between two inputs
_EPSILON = 1e-5  # added to the Jacobian covariance's eigenvalues


def parameters(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Count the trainable parameters."""
    return float(sum(p.numel() for p in network.parameters() if p.requires_grad))


def macs(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Count the multiply-accumulates of one input, as ``torch.utils.flop_counter`` does."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(x)
    return counter.get_total_flops() / 2 / len(x)


def nwot(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Measure how differently rectifiers respond to a minibatch's inputs.

    The log determinant of the matrix that counts, for two inputs, the units that are on for both
    or off for both: Mellor et al., "Neural architecture search without training" (ICML 2021).
    NaN for a network without rectifiers, or one that cannot tell all inputs apart.
    """
    with torch.no_grad(), _AgreeingUnits(len(x)) as agreeing:
        network(x)
    sign, log_determinant = torch.linalg.slogdet(agreeing.counts)
    return float(log_determinant) if sign > 0 else math.nan


class _AgreeingUnits(TorchDispatchMode):
    """Counts the rectified units on which pairs of ``n`` inputs agree: ``counts``, ``n x n``."""

    def __init__(self, n: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts = torch.zeros(n, n).double()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _RECTIFIERS and len(args[0]) == len(self.counts):
            on = (args[0].detach().flatten(start_dim=1) > 0).float()
            agree = on @ on.mT + (1 - on) @ (1 - on).mT
            self.counts += agree.double().cpu()
        return func(*args, **(kwargs or {}))


def jacov(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Measure how differently a network's output depends on each input of a minibatch.

    ``-sum(log e + 1 / e)`` over the eigenvalues ``e`` of the correlations between the inputs'
    gradients of the summed output: Mellor et al., first version (arXiv 2006.04647v1, section 3).
    """
    inputs = x.detach().clone().requires_grad_()
    (jacobian,) = _gradients(network(inputs).sum(), [inputs])
    correlations = torch.corrcoef(jacobian.flatten(start_dim=1).double().cpu())
    if not correlations.isfinite().all():
        return math.nan
    e = torch.linalg.eigvalsh(correlations).clamp_min(0) + _EPSILON
    return -float((e.log() + 1 / e).sum())


def synflow(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Measure how much of each weight reaches the output, whatever the data.

    The logarithm of the sum of ``|w dR/dw|`` over all weights, with absolute weights, an input of
    ones, no normalization and the summed output ``R``: Tanaka et al., "Pruning neural networks
    without any data by iteratively conserving synaptic flow" (NeurIPS 2020).
    """
    network = network.double().eval()
    with torch.no_grad():
        for p in network.parameters():
            p.abs_()
    with _without_normalization(network):
        total = network(torch.ones_like(x[:1], dtype=torch.double)).sum()
    return math.log(_saliency(network, total))


@contextmanager
def _without_normalization(network: nn.Module) -> Iterator[None]:
    """Let normalizations return what they are given."""
    layers = [m for m in network.modules() if isinstance(m, _NORMALIZATIONS)]
    handles = [m.register_forward_hook(lambda _, args, output: args[0]) for m in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def snip(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Sum how much the loss depends on the presence of each weight.

    ``sum |w dL/dw|``: Lee et al., "SNIP: Single-shot network pruning based on connection
    sensitivity" (ICLR 2019), summed as by Abdelfattah et al.
    """
    return _saliency(network, _loss(network(x), y))


def grad_norm(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Sum the norms of the loss' gradients by each layer's weights (Abdelfattah et al.)."""
    gradients = _gradients(_loss(network(x), y), _weights(network))
    return float(sum(g.norm() for g in gradients))


def zen(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Measure how much the last feature map changes with its input, for Gaussian weights.

    ``log E|f(u) - f(u + 0.01 v)| + sum_i log s_i`` with normal inputs ``u`` and ``v``, and the
    standard deviations ``s_i`` that batch normalizations divide by: Lin et al., "Zen-NAS: A
    zero-shot NAS for high-performance image recognition" (ICCV 2021). Random numbers come from
    torch's global generator.
    """
    with torch.no_grad():
        for weight in _weights(network):
            weight.normal_()
        u = torch.randn_like(x)
        there, log_scale = _last_feature_map(network, u)
        moved, _ = _last_feature_map(network, u + _STEP * torch.randn_like(u))
    change = (there - moved).flatten(start_dim=1).abs().sum(dim=1).mean()
    return float(change.log() + log_scale)


def _last_feature_map(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last output of several pixels, else the network's, and the sum of log s_i."""
    maps: list[Tensor] = []
    log_scales = [x.new_zeros(())]

    def note(layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim > 2 and output[0, 0].numel() > 1:
            maps[:] = [output]
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            variances = args[0].transpose(0, 1).flatten(start_dim=1).var(dim=1)
            log_scales.append(variances.mean().log() / 2)

    handles = [m.register_forward_hook(note) for m in network.modules()]
    output = network(x)
    for handle in handles:
        handle.remove()
    return maps[0] if maps else output, torch.stack(log_scales).sum()


def _weights(network: nn.Module) -> list[Tensor]:
    """Weights of convolutions and linear layers."""
    return [m.weight for m in network.modules() if isinstance(m, _WEIGHTED)]


def _saliency(network: nn.Module, scalar: Tensor) -> float:
    """Sum ``|w ds/dw|`` over the weights."""
    weights = _weights(network)
    gradients = _gradients(scalar, weights)
    parts = zip(weights, gradients, strict=True)
    return float(sum((w.detach() * g).abs().sum() for w, g in parts))


def _gradients(scalar: Tensor, by: Sequence[Tensor]) -> list[Tensor]:
    """Differentiate; 0 by what the scalar does not depend on."""
    found = torch.autograd.grad(scalar, by, allow_unused=True)
    return [torch.zeros_like(b) if g is None else g for g, b in zip(found, by, strict=True)]


def _loss(output: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of classes; the mean squared error of numbers."""
    return (functional.mse_loss if y.is_floating_point() else functional.cross_entropy)(output, y)


PROXIES: Mapping[str, Callable[[nn.Module, Tensor, Tensor], float]] = {
    "parameters": parameters,
    "macs": macs,
    "nwot": nwot,
    "jacov": jacov,
    "synflow": synflow,
    "snip": snip,
    "grad_norm": grad_norm,
    "zen": zen,
}


class Proxies:
    """Features of an architecture from its untrained network, for ``TNASSampler(features=...)``.

    Every network is initialized with the same seed, so the same architecture always has the same
    features, on one machine. A proxy that is not finite, or that a network has no value for (no
    gradient, no rectifier, an error in its forward or backward pass), is NaN; the first error of
    each proxy is logged as a warning.

    Args:
        build: Parameters, such as ``trial.params``, to a network that is not trained.
        x: ``B x ...`` float inputs of the data, B >= 2, such as a minibatch of a ``DataLoader``;
            32 to 128 are usual. The networks run on its device.
        y: ``B`` int64 classes, or targets of the network's output shape for a regression.
        names: Which proxies, of :data:`PROXIES`; all unless given.
        seed: Of the networks' initialization.

    Raises:
        FeatureError: If a proxy is unknown, or ``x`` and ``y`` are no minibatch.
    """

    def __init__(
        self,
        build: Build,
        x: Tensor | np.ndarray,
        y: Tensor | np.ndarray,
        names: Sequence[str] = tuple(PROXIES),
        seed: int = 0,
    ) -> None:
        if unknown := [name for name in names if name not in PROXIES]:
            raise FeatureError(f"There is no proxy {unknown[0]!r}; choose of {list(PROXIES)}.")
        self._build, self.names, self._seed = build, tuple(names), seed
        self._x, self._y = _minibatch(x, y)
        self._failed: set[str] = set()

    def __call__(self, params: dict[str, Any]) -> dict[str, float]:
        """Compute the features of one architecture by name."""
        with _seeded(self._seed, self._x.device):
            network = self._build(params).to(self._x.device).train()
        return {name: self._value(name, network, params) for name in self.names}

    def _value(self, name: str, network: nn.Module, params: dict[str, Any]) -> float:
        with _seeded(self._seed, self._x.device), torch.enable_grad():
            try:
                value = PROXIES[name](deepcopy(network), self._x, self._y)
            except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
                self._warn(name, params, error)
                return math.nan
        return value if math.isfinite(value) else math.nan

    def _warn(self, name: str, params: dict[str, Any], error: Exception) -> None:
        if name not in self._failed:
            text = "The proxy %r cannot be computed for %s, and perhaps for others: %r"
            _logger.warning(text, name, params, error)
        self._failed.add(name)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators, and restore them afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _minibatch(x: Tensor | np.ndarray, y: Tensor | np.ndarray) -> tuple[Tensor, Tensor]:
    inputs, targets = torch.as_tensor(x).detach(), torch.as_tensor(y).detach()
    if not inputs.is_floating_point():
        raise FeatureError(
            f"Proxies need inputs as a network is trained on, not {inputs.dtype}; convert them, "
            "such as by x.float() / 255."
        )
    if inputs.ndim < 2 or len(inputs) < 2 or len(inputs) != len(targets):
        raise FeatureError(
            f"Proxies need a minibatch of at least 2 inputs and as many targets, not the shapes "
            f"{tuple(inputs.shape)} and {tuple(targets.shape)}."
        )
    if not targets.is_floating_point():
        targets = targets.long()
    return inputs, targets.to(inputs.device)
