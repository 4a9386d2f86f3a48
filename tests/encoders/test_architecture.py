"""psi against a slow walk over networkx graphs, and what its encoding may depend on."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
import torch

from optuna_tnas.encoders import ArchitectureEncoder
from optuna_tnas.spaces import GraphBatch
from optuna_tnas.spaces import NASBench201Space
from tests.networkx_graphs import from_networkx


OPS = {"input": 0, "output": 1, "conv": 2, "pool": 3, "skip": 4}
LABELS = list(OPS)


@pytest.fixture
def encoder() -> ArchitectureEncoder:
    torch.manual_seed(0)
    return ArchitectureEncoder(len(OPS), hidden=6, dim=3).double().requires_grad_(False)


def random_dag(rng: np.random.Generator, n_inner: int) -> nx.DiGraph:
    """Nodes 0 (input) to ``n_inner + 1`` (output); unconnected and dead vertices occur."""
    graph = nx.DiGraph()
    graph.add_node(0, op="input")
    for v in range(1, n_inner + 1):
        graph.add_node(v, op=LABELS[rng.integers(2, len(OPS))])
    graph.add_node(n_inner + 1, op="output")
    pairs = combinations(range(n_inner + 2), 2)
    graph.add_edges_from(pair for pair in pairs if rng.random() < 0.5)
    return graph


def random_dags(n: int) -> list[nx.DiGraph]:
    rng = np.random.default_rng(0)
    return [random_dag(rng, int(rng.integers(0, 7))) for _ in range(n)]


def encode(encoder: ArchitectureEncoder, graphs: list[nx.DiGraph]) -> torch.Tensor:
    return encoder(from_networkx(graphs, OPS))


def gru(cell: torch.nn.GRUCell, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Cho et al. (2014), in the variant that cuDNN and PyTorch document."""
    i_r, i_z, i_n = (cell.weight_ih @ x + cell.bias_ih).chunk(3)
    h_r, h_z, h_n = (cell.weight_hh @ h + cell.bias_hh).chunk(3)
    r, z = torch.sigmoid(i_r + h_r), torch.sigmoid(i_z + h_z)
    return (1 - z) * torch.tanh(i_n + r * h_n) + z * h


def slow_walk(walk: torch.nn.Module, graph: nx.DiGraph, last: object) -> torch.Tensor:
    states: dict[object, torch.Tensor] = {}
    for v in nx.topological_sort(graph):
        message = torch.zeros(6, dtype=torch.double)
        for u in graph.predecessors(v):
            gate = torch.sigmoid(walk.gate.weight @ states[u] + walk.gate.bias)
            message = message + gate * (walk.map.weight @ states[u])
        x = torch.zeros(len(OPS), dtype=torch.double)
        x[OPS[graph.nodes[v]["op"]]] = 1
        states[v] = gru(walk.cell, x, message)
    return states[last]


def slow_encoding(encoder: ArchitectureEncoder, graph: nx.DiGraph) -> torch.Tensor:
    source, sink = (
        next(v for v, op in graph.nodes(data="op") if op == end) for end in ("input", "output")
    )
    after = slow_walk(encoder.forward_walk, graph, sink)
    before = slow_walk(encoder.backward_walk, graph.reverse(), source)
    first, _, second = encoder.readout
    hidden = (first.weight @ torch.cat([after, before]) + first.bias).clamp(min=0)
    return second.weight @ hidden + second.bias


def test_equals_a_loop_over_each_graph(encoder: ArchitectureEncoder) -> None:
    graphs = random_dags(60)
    slow = torch.stack([slow_encoding(encoder, graph) for graph in graphs])
    torch.testing.assert_close(encode(encoder, graphs), slow)


def relabeled(graph: nx.DiGraph, rng: np.random.Generator) -> nx.DiGraph:
    """The same graph with other names, its vertices and edges listed in another order."""
    names = dict(zip(graph, rng.permutation(len(graph)).tolist(), strict=True))
    result = nx.DiGraph()
    for v in rng.permutation(list(graph)):
        result.add_node(names[v], op=graph.nodes[v]["op"])
    result.add_edges_from((names[u], names[v]) for u, v in rng.permutation(list(graph.edges)))
    return result


def test_does_not_depend_on_how_vertices_are_numbered(encoder: ArchitectureEncoder) -> None:
    rng = np.random.default_rng(1)
    graphs = [graph for graph in random_dags(60) if graph.number_of_edges()]
    others = [relabeled(graph, rng) for graph in graphs]
    ops, other_ops = (from_networkx(g, OPS).ops for g in (graphs, others))
    assert (ops != other_ops).any(axis=1).sum() > 10  # the numbering did change
    torch.testing.assert_close(encode(encoder, graphs), encode(encoder, others))


def test_does_not_depend_on_the_rest_of_the_batch(encoder: ArchitectureEncoder) -> None:
    graphs = random_dags(20)
    assert len({len(graph) for graph in graphs}) > 3
    alone = torch.cat([encode(encoder, [graph]) for graph in graphs])
    torch.testing.assert_close(encode(encoder, graphs), alone)


def test_absent_slots_anywhere_change_nothing(encoder: ArchitectureEncoder) -> None:
    batch = from_networkx(random_dags(20), OPS)
    rng = np.random.default_rng(2)
    n_slots = batch.ops.shape[1]
    inner = rng.choice(np.arange(1, n_slots + 2), n_slots - 2, replace=False)
    slots = np.array([0, *sorted(inner), n_slots + 2])
    ops = np.full((20, n_slots + 3), -1)
    ops[:, slots] = batch.ops
    adjacency = np.zeros((20, n_slots + 3, n_slots + 3), dtype=bool)
    adjacency[:, slots[:, None], slots] = batch.adjacency
    torch.testing.assert_close(encoder(GraphBatch(ops, adjacency)), encoder(batch))


def test_only_isomorphic_cells_share_an_encoding() -> None:
    space = NASBench201Space()
    X = space.sample(150, np.random.default_rng(0))
    batch = space.to_graphs(X).pruned()
    torch.manual_seed(0)
    encoder = ArchitectureEncoder(len(space.vocabulary), hidden=16, dim=8).double()
    with torch.no_grad():
        Z = encoder(batch)
    graphs = [networkx_graph(batch, b) for b in range(len(X))]
    close = (Z[:, None] - Z).abs().amax(dim=-1) < 1e-9
    for a, b in combinations(range(len(X)), 2):
        same = nx.is_isomorphic(graphs[a], graphs[b], node_match=lambda u, v: u == v)
        assert bool(close[a, b]) == same


def networkx_graph(batch: GraphBatch, b: int) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from((v, {"op": op}) for v, op in enumerate(batch.ops[b]) if op >= 0)
    graph.add_edges_from(np.argwhere(batch.adjacency[b]).tolist())
    return graph


def test_gradients_reach_every_parameter(encoder: ArchitectureEncoder) -> None:
    encoder.requires_grad_(True)
    encode(encoder, random_dags(20)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_an_empty_batch_has_no_encodings(encoder: ArchitectureEncoder) -> None:
    empty = GraphBatch(np.empty((0, 5), dtype=np.int64), np.empty((0, 5, 5), dtype=bool))
    assert encoder(empty).shape == (0, 3)


def test_vertices_with_equal_ancestors_share_a_state() -> None:
    space = NASBench201Space()
    networks, _ = space.to_graphs(space.enumerate()).pruned().classes()
    encoder = ArchitectureEncoder(len(space.vocabulary), hidden=4, dim=2)
    sizes = []
    encoder.forward_walk.cell.register_forward_hook(lambda *call: sizes.append(len(call[2])))
    encoder(networks)
    assert len(networks) == 8765
    assert sum(sizes[:-1]) == 341
