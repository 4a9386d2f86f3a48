"""Parameters and multiply-accumulates of the networks of the spaces in the box."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from functools import cache
from itertools import combinations
from math import ceil
from typing import Any
from typing import Literal
from typing import NamedTuple

from optuna_tnas.errors import SpaceError
from optuna_tnas.spaces.mobilenetv3 import MobileNetV3Space
from optuna_tnas.spaces.nasbench201 import NASBench201Space
from optuna_tnas.spaces.space import Space


_NASBENCH201_EDGES = sorted(combinations(range(4), 2), key=lambda edge: (edge[1], edge[0]))
_NASBENCH201_KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}

# Of once-for-all's MobileNetV3: the stem and the first block, which are not searched, the five
# stages, and the last two layers before the classifier.
_STEM_WIDTH, _FIRST_WIDTH = 16, 16
_STAGE_WIDTHS = (24, 40, 80, 112, 160)
_STAGE_STRIDES = (2, 2, 2, 1, 2)
_SQUEEZE_EXCITE = (False, True, False, True, True)
_LAST_WIDTHS = (960, 1280)
_DIVISOR = 8  # of every number of channels
_SQUEEZE = 4  # channels of a layer per channel of its squeeze-and-excitation


class _Layer(NamedTuple):
    """A layer of a network.

    Attributes:
        weights: Weights of a convolution or linear layer.
        pixels: Outputs for which each weight is used once.
        others: Biases, and scales and offsets of a batch normalization.
    """

    weights: int
    pixels: int
    others: int


def count_parameters(space: Space, params: Mapping[str, Any], **network: Any) -> int:
    """Count the trainable parameters of an architecture's network.

    Equal to ``sum(p.numel() for p in network.parameters())``. The keywords describe the network
    around the searched part. A cell of :class:`NASBench201Space` has the published one (Dong and
    Yang, ICLR 2020) unless they say otherwise:

    - ``width=16``: channels of the first of three stages; each doubles them.
    - ``cells_per_stage=5``.
    - ``n_channels=3``, ``n_classes=10``: of images and labels.
    - ``resolution=32``: height and width of the images in pixels, a multiple of 4.
    - ``variant="published"``; ``"demo"`` is the network that ``optuna-tnas demo`` trains (with
      ``width=8``, ``cells_per_stage=1``, ``resolution=16``).

    An architecture of :class:`MobileNetV3Space` is a sub-network of the published one of
    once-for-all (Cai et al., ICLR 2020):

    - ``width_multiplier=1.0``, or ``1.2`` for its second network.
    - ``n_channels=3``, ``n_classes=1000``, ``resolution=224``: as for a cell.

    Args:
        space: The space, or one that differs in names only.
        params: The architecture's parameters, such as ``trial.params``.
        **network: See above.

    Raises:
        SpaceError: If the space is none of these, or a parameter or keyword is impossible.
    """
    return sum(layer.weights + layer.others for layer in _layers(space, params, network))


def count_macs(space: Space, params: Mapping[str, Any], **network: Any) -> int:
    """Count the multiply-accumulates by which an architecture's network classifies one image.

    Those of convolutions and linear layers: half of what ``torch.utils.flop_counter`` counts.
    Normalizations, activations, pooling and sums are left out.

    Args:
        space: The space, or one that differs in names only.
        params: The architecture's parameters, such as ``trial.params``.
        **network: As for :func:`count_parameters`.

    Raises:
        SpaceError: If the space is none of these, or a parameter or keyword is impossible.
    """
    return sum(layer.weights * layer.pixels for layer in _layers(space, params, network))


def _layers(
    space: Space, params: Mapping[str, Any], network: Mapping[str, Any]
) -> Iterator[_Layer]:
    chosen = [
        parameter.choices[position]
        for parameter, position in zip(
            space.parameters, space.encode(params).tolist(), strict=True
        )
    ]
    if space.fingerprint == _nasbench201():
        return _nasbench201_layers(chosen, **network)
    if space.fingerprint == _mobilenetv3():
        return _mobilenetv3_layers(chosen, **network)
    raise SpaceError(
        "Only the networks of NASBench201Space and MobileNetV3Space can be counted, not those of "
        f"a space with the parameters {list(space.distributions())}; build your network and sum "
        "p.numel() over its parameters."
    )


@cache
def _nasbench201() -> str:
    return NASBench201Space().fingerprint


@cache
def _mobilenetv3() -> str:
    return MobileNetV3Space().fingerprint


def _convolution(
    n_in: int, n_out: int, kernel: int, size: int, *, norm: bool = False, bias: bool = False
) -> _Layer:
    """A convolution whose output is ``size x size`` pixels, maybe batch-normalized."""
    return _Layer(n_in * n_out * kernel**2, size**2, (2 * norm + bias) * n_out)


def _check_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int) or number <= 0:
            raise SpaceError(f"{name} cannot be {number!r}; give a whole number above 0.")


# --- NAS-Bench-201 --------------------------------------------------------------------------


def _nasbench201_layers(
    ops: Sequence[Any],
    *,
    width: int = 16,
    cells_per_stage: int = 5,
    n_channels: int = 3,
    n_classes: int = 10,
    resolution: int = 32,
    variant: Literal["published", "demo"] = "published",
) -> Iterator[_Layer]:
    """List the layers of a cell's network: a stem, three stages and a classifier.

    As published, operations on no path from input to output are there too, and are computed;
    the demo leaves them out, and its cells' normalizations have no parameters.
    """
    _check_positive(width=width, cells_per_stage=cells_per_stage, n_channels=n_channels)
    _check_positive(n_classes=n_classes, resolution=resolution)
    if resolution % 4:
        raise SpaceError(f"resolution cannot be {resolution}; give a multiple of 4.")
    if variant not in ("published", "demo"):
        raise SpaceError(f'There is no variant {variant!r}; choose "published" or "demo".')
    published = variant == "published"
    used = [op for op, used in zip(ops, _on_a_path(ops), strict=True) if published or used]
    kernels = [_NASBENCH201_KERNELS[op] for op in used if op in _NASBENCH201_KERNELS]
    yield _convolution(n_channels, width, 3, resolution, norm=True)
    for stage in range(3):
        if stage:
            width, resolution = 2 * width, resolution // 2
            yield from _reduction(width // 2, width, resolution, published)
        for kernel in kernels * cells_per_stage:
            yield _convolution(width, width, kernel, resolution, norm=published)
    yield _Layer(0, 0, 2 * width)  # the last normalization
    yield _convolution(width, n_classes, 1, 1, bias=True)


def _reduction(n_in: int, n_out: int, size: int, residual: bool) -> Iterator[_Layer]:
    """Join two stages, by a residual block or by average pooling and a convolution."""
    if residual:
        yield _convolution(n_in, n_out, 3, size, norm=True)
        yield _convolution(n_out, n_out, 3, size, norm=True)
    yield _convolution(n_in, n_out, 1, size, norm=not residual)


def _on_a_path(ops: Sequence[Any]) -> list[bool]:
    """Tell which of a cell's six operations lie on a path from its input to its output."""
    edges = [edge for edge, op in zip(_NASBENCH201_EDGES, ops, strict=True) if op != "none"]
    from_input, to_output = {0}, {3}
    for source, target in edges:  # sorted by target
        if source in from_input:
            from_input.add(target)
    for source, target in reversed(edges):
        if target in to_output:
            to_output.add(source)
    live = {(i, j) for i, j in edges if i in from_input and j in to_output}
    return [edge in live for edge in _NASBENCH201_EDGES]


# --- once-for-all's MobileNetV3 -------------------------------------------------------------


def _mobilenetv3_layers(
    chosen: Sequence[Any],
    *,
    width_multiplier: float = 1.0,
    n_channels: int = 3,
    n_classes: int = 1000,
    resolution: int = 224,
) -> Iterator[_Layer]:
    """List the layers of a sub-network: stem, first block, five stages and the last layers."""
    _check_positive(n_channels=n_channels, n_classes=n_classes, resolution=resolution)
    if not width_multiplier > 0:
        raise SpaceError(f"width_multiplier cannot be {width_multiplier}; give 1.0 or 1.2.")
    stem, width, *stages = [
        _divisible(width_multiplier * w) for w in (_STEM_WIDTH, _FIRST_WIDTH, *_STAGE_WIDTHS)
    ]
    size = ceil(resolution / 2)
    yield _convolution(n_channels, stem, 3, size, norm=True)
    yield from _inverted_residual(stem, stem, width, 3, size, size)
    for stage, new_width in enumerate(stages):
        depth, *layers = chosen[9 * stage : 9 * stage + 9]
        for layer in range(depth):
            kernel, expand = layers[2 * layer : 2 * layer + 2]
            new_size = size if layer else ceil(size / _STAGE_STRIDES[stage])
            middle = _divisible(width * expand)
            yield from _inverted_residual(width, middle, new_width, kernel, size, new_size)
            if _SQUEEZE_EXCITE[stage]:
                yield from _squeeze_excitation(middle)
            width, size = new_width, new_size
    yield from _last_layers(width, width_multiplier, size, n_classes)


def _inverted_residual(
    n_in: int, middle: int, n_out: int, kernel: int, size: int, new_size: int
) -> Iterator[_Layer]:
    """Expand (unless the width stays), convolve each channel by itself, and project."""
    if middle != n_in:
        yield _convolution(n_in, middle, 1, size, norm=True)
    yield _convolution(1, middle, kernel, new_size, norm=True)
    yield _convolution(middle, n_out, 1, new_size, norm=True)


def _squeeze_excitation(width: int) -> Iterator[_Layer]:
    squeezed = _divisible(width // _SQUEEZE)
    yield _convolution(width, squeezed, 1, 1, bias=True)
    yield _convolution(squeezed, width, 1, 1, bias=True)


def _last_layers(
    width: int, width_multiplier: float, size: int, n_classes: int
) -> Iterator[_Layer]:
    expanded, mixed = [_divisible(width_multiplier * w) for w in _LAST_WIDTHS]
    yield _convolution(width, expanded, 1, size, norm=True)
    yield _convolution(expanded, mixed, 1, 1)
    yield _convolution(mixed, n_classes, 1, 1, bias=True)


def _divisible(width: float) -> int:
    """Round to a multiple of 8, but not down by more than 10 %."""
    rounded = max(_DIVISOR, int(width + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded + _DIVISOR if rounded < 0.9 * width else rounded
