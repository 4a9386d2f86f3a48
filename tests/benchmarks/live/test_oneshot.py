from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks.live import oneshot
from benchmarks.live.drnas import DrNAS
from benchmarks.live.gdas import GDAS
from benchmarks.live.oneshot import OneShot
from benchmarks.live.parts import Part
from benchmarks.live.pcdarts import PCDARTS
from benchmarks.live.pcdarts import shares
from benchmarks.live.rivals import ONE_SHOT
from benchmarks.live.setn import SETN
from benchmarks.live.supernet import N_EDGES
from benchmarks.live.supernet import N_OPS
from benchmarks.live.supernet import SharedNetwork
from optuna_tnas.spaces.nasbench201 import NASBENCH201_OPS
from tests.benchmarks.live.tiny import parts
from tests.benchmarks.live.tiny import RECIPE


X = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
Y = torch.tensor([0, 1, 2, 0, 1, 2])


def made(kind: type[OneShot], spread: float = 0.0) -> OneShot:
    torch.manual_seed(0)
    method = kind(SharedNetwork(1, 3, width=4, partial=kind.settings.partial))
    with torch.no_grad():
        method.alpha += spread * torch.randn_like(method.alpha)
    return method


def searched(kind: type[OneShot], seed: int = 0) -> oneshot.Found:
    return oneshot.search(kind, parts(), RECIPE, epochs=2, seed=seed)


@pytest.mark.parametrize("kind", ONE_SHOT.values())
def test_a_search_repeats_and_leaves_the_random_state(kind):
    before = torch.get_rng_state()
    one, other = searched(kind), searched(kind)
    assert (one.cells, one.alpha) == (other.cells, other.alpha)
    assert searched(kind, seed=1).alpha != one.alpha
    assert torch.equal(torch.get_rng_state(), before)
    assert "none" not in one.cells[1]


@pytest.mark.parametrize("kind", ONE_SHOT.values())
def test_test_images_are_not_looked_at(kind):
    whole = parts()
    noise = Part(torch.randn_like(whole.test.x), whole.test.y)
    found = oneshot.search(kind, replace(whole, test=noise), RECIPE, epochs=2, seed=0)
    assert found.alpha == searched(kind).alpha
    assert found.cells == searched(kind).cells


@pytest.mark.parametrize("kind", ONE_SHOT.values())
def test_each_step_changes_its_own_parameters_alone(kind):
    method, data, batch = made(kind), parts(), torch.arange(8)
    weights = [p.detach().clone() for p in method.network.parameters()]
    alphas = [a.detach().clone() for a in method.architecture]
    sgd = torch.optim.SGD(method.network.parameters(), lr=0.1)
    oneshot._weight_step(method, data, batch, sgd)
    assert all(map(torch.equal, alphas, method.architecture))
    moved = [
        not torch.equal(a, b) for a, b in zip(weights, method.network.parameters(), strict=True)
    ]
    assert any(moved)
    weights = [p.detach().clone() for p in method.network.parameters()]
    oneshot._alpha_step(method, data, batch, torch.optim.Adam(method.architecture, lr=0.1))
    assert all(map(torch.equal, weights, method.network.parameters()))
    assert not torch.equal(alphas[0], method.alpha)


@pytest.mark.parametrize("kind", [GDAS, PCDARTS, DrNAS])
def test_the_largest_alpha_of_the_allowed_operations_is_derived(kind):
    method = made(kind)
    with torch.no_grad():
        method.alpha[:] = torch.arange(N_EDGES * N_OPS).view(N_EDGES, N_OPS) % 7
    by_hand = [NASBENCH201_OPS[row.argmax()] for row in method.alpha.detach().numpy()]
    part = parts().validation
    assert list(method.derive(part, NASBENCH201_OPS)) == by_hand
    rest = ("skip_connect", "nor_conv_1x1")
    columns = [NASBENCH201_OPS.index(op) for op in rest]
    expected = [rest[row[columns].argmax()] for row in method.alpha.detach().numpy()]
    assert list(method.derive(part, rest)) == expected


# --- GDAS -----------------------------------------------------------------------------------


def test_gdas_gradient_is_the_straight_through_one(monkeypatch):
    """By hand: the loss differentiated by the gates, times the softmax's derivative."""
    method = made(GDAS, spread=1.0)
    method.tau = 0.7
    torch.manual_seed(5)
    gumbel = -torch.empty_like(method.alpha).exponential_().log()
    p = ((method.alpha.log_softmax(dim=1) + gumbel) / method.tau).softmax(dim=1)
    drawn = p.argmax(dim=1)
    cell = tuple(NASBENCH201_OPS[o] for o in drawn)
    gates = torch.ones(N_EDGES, requires_grad=True)
    loss = cross_entropy(method.network.path(X, cell, gates), Y)
    (by_gate,) = torch.autograd.grad(loss, gates, materialize_grads=True)
    (expected,) = torch.autograd.grad((by_gate * p[range(N_EDGES), drawn]).sum(), method.alpha)
    torch.manual_seed(5)
    (found,) = torch.autograd.grad(cross_entropy(method.alpha_logits(X), Y), method.alpha)
    assert expected.abs().sum() > 0
    torch.testing.assert_close(found, expected)


def test_gdas_draws_operations_by_their_probabilities():
    method = made(GDAS, spread=1.0)
    counts = np.zeros((N_EDGES, N_OPS))
    for _ in range(4000):
        cell, gates = method.drawn()
        counts[range(N_EDGES), [NASBENCH201_OPS.index(op) for op in cell]] += 1
    torch.testing.assert_close(gates, torch.ones(N_EDGES))
    expected = method.alpha.detach().softmax(dim=1).numpy()
    np.testing.assert_allclose(counts / 4000, expected, atol=0.04)


def test_the_temperature_of_gdas_falls_from_ten_to_a_tenth():
    method = made(GDAS)
    taus = []
    for progress in (0.0, 0.5, 1.0):
        method.start(progress)
        taus.append(method.tau)
    assert taus == pytest.approx([10, 5.05, 0.1])


# --- the others -----------------------------------------------------------------------------


def test_setn_tries_the_most_probable_cells():
    method = made(SETN, spread=1.0)
    log_p = method.alpha.detach().log_softmax(dim=1).numpy()
    everything = [
        (sum(log_p[e, o] for e, o in enumerate(ops)), ops)
        for ops in product(range(N_OPS), repeat=N_EDGES)
    ]
    best = sorted(everything, reverse=True)[:100]
    expected = {tuple(NASBENCH201_OPS[o] for o in ops) for _, ops in best}
    assert set(method.candidates(NASBENCH201_OPS)) == expected


def test_setn_takes_the_candidate_with_the_most_right_answers():
    method, part = made(SETN), parts().validation
    torch.manual_seed(2)
    found = method.derive(part, NASBENCH201_OPS)
    right = {
        cell: int((method.network.path(part.x, cell).argmax(dim=1) == part.y).sum())
        for cell in method.candidates(NASBENCH201_OPS)
    }
    assert right[found] == max(right.values())


def test_pc_darts_with_all_channels_and_equal_edges_is_the_plain_mixture(monkeypatch):
    torch.manual_seed(0)
    network = SharedNetwork(1, 3, width=4)
    method = PCDARTS(network)
    monkeypatch.setattr("benchmarks.live.pcdarts.shares", torch.ones_like)
    expected = network.mixture(X, method.alpha.softmax(dim=1))
    torch.testing.assert_close(method.alpha_logits(X), expected)


def test_edges_into_a_node_share_one():
    beta = torch.tensor([3.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    expected = torch.tensor([1, 1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3])
    torch.testing.assert_close(shares(beta), expected)
    grown = shares(beta + torch.tensor([0, 5.0, 0, 0, 0, 0]))
    assert grown[1] > 0.99
    torch.testing.assert_close(grown[3:], expected[3:])


def test_the_mean_weights_of_drnas_are_those_of_its_concentrations():
    method = made(DrNAS)
    with torch.no_grad():
        method.alpha[:] = torch.tensor([0.0, 1.0, 2.0, -np.log(2.0), 0.0])  # 1, 2, 3, 1/2, 1
    expected = torch.tensor([1.0, 2.0, 3.0, 0.5, 1.0]) / 7.5
    drawn = method.weights.sample((4000,))
    torch.testing.assert_close(drawn.mean(dim=0), expected.expand(N_EDGES, -1), atol=0.02, rtol=0)
    torch.testing.assert_close(method.weights.mean[0], expected)
