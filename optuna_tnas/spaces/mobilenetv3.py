"""The once-for-all MobileNetV3 space (Cai et al., ICLR 2020): about 2e19 networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from optuna_tnas.spaces.declaration import Condition
from optuna_tnas.spaces.declaration import Edge
from optuna_tnas.spaces.declaration import Parameter
from optuna_tnas.spaces.declaration import rename
from optuna_tnas.spaces.declaration import Vertex
from optuna_tnas.spaces.declared import DeclaredSpace


STAGES = range(1, 6)
DEPTHS = (2, 3, 4)
KERNELS = (3, 5, 7)
EXPANDS = (3, 4, 6)
LAYERS = range(1, max(DEPTHS) + 1)


class MobileNetV3Space(DeclaredSpace):
    """Five stages of two to four inverted residual layers.

    Parameters, stage by stage: ``depth_<s>``, then ``kernel_<s>_<l>`` and ``expand_<s>_<l>``
    for its four layers; those of layers beyond the stage's depth are inactive. The graph is the
    chain of the layers that exist. A layer's label names its stage too, because in the chain
    alone the depths (2, 3) and (3, 2) look the same.

    Args:
        names: The user's names for the 45 parameters, in that order.
    """

    def __init__(self, names: Sequence[str] | None = None) -> None:
        parameters: list[Parameter] = []
        vertices: list[Vertex] = []
        for stage in STAGES:
            depth = len(parameters)
            parameters.append(Parameter(f"depth_{stage}", DEPTHS))
            for layer in LAYERS:
                vertices.append(_layer(stage, layer, depth, len(parameters)))
                active = _exists(layer, depth) if layer > min(DEPTHS) else None
                parameters.append(Parameter(f"kernel_{stage}_{layer}", KERNELS, active))
                parameters.append(Parameter(f"expand_{stage}_{layer}", EXPANDS, active))
        super().__init__(rename(parameters, names), tuple(vertices), _chain())


def _exists(layer: int, depth: int) -> Condition:
    """State that the stage, whose depth is parameter ``depth``, has the layer."""
    return Condition(depth, tuple(i for i, d in enumerate(DEPTHS) if d >= layer))


def _layer(stage: int, layer: int, depth: int, kernel: int) -> Vertex:
    ops = tuple(
        f"stage{stage}_k{k}_e{e}" if layer <= d else None
        for d, k, e in product(DEPTHS, KERNELS, EXPANDS)
    )
    return Vertex(f"{stage}_{layer}", (depth, kernel, kernel + 1), ops)


def _chain() -> tuple[Edge, ...]:
    """Chain input, layers and output; a stage ends after as many layers as its depth."""
    edges = [Edge(0, 1)]
    per_stage = 1 + 2 * len(LAYERS)
    for s in range(len(STAGES)):
        first = s * len(LAYERS) + 1
        edges += [Edge(first + i, first + i + 1) for i in range(len(LAYERS) - 1)]
        edges += [
            Edge(first + d - 1, first + len(LAYERS), Condition(s * per_stage, (i,)))
            for i, d in enumerate(DEPTHS)
        ]
    return tuple(edges)
