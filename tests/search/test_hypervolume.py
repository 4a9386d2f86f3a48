"""Expected hypervolume improvement against brute force, and the choices that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
import itertools

from botorch.utils.multi_objective.hypervolume import Hypervolume
from botorch.utils.multi_objective.pareto import is_non_dominated
import numpy as np
import pytest
import torch
from torch import Tensor

from optuna_tnas.search.hypervolume import boxes
from optuna_tnas.search.hypervolume import expected_improvement
from optuna_tnas.search.hypervolume import HypervolumeImprovement
from optuna_tnas.search.hypervolume import reference_point
from optuna_tnas.search.objectives import Belief
from optuna_tnas.search.objectives import KnownObjective
from optuna_tnas.search.objectives import ModeledObjective
from optuna_tnas.search.objectives import Objective
from tests.search.test_acquisition import random_latents
from tests.search.test_acquisition import random_mixture


Z = random_latents(60, seed=100)
NONE = Z[:0]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.double)


def random_front(n: int, M: int) -> Tensor:
    return normal(n, M, seed=n + M)


def random_beliefs(n: int, M: int) -> list[Belief]:
    """Mixtures of two normal distributions each."""
    probabilities = torch.tensor([0.3, 0.7]).double()
    return [
        Belief(probabilities, normal(2, n, seed=j), 0.1 + normal(2, n, seed=j + 9).square())
        for j in range(M)
    ]


def drawn(belief: Belief, n: int, seed: int) -> Tensor:
    """``n`` values of the first candidate."""
    part = torch.multinomial(belief.probabilities, n, replacement=True, generator=generator(seed))
    return belief.means[part, 0] + belief.variances[part, 0].sqrt() * normal(n, seed=seed + 50)


def hypervolume(Y: Tensor, reference: Tensor) -> float:
    return Hypervolume(reference).compute(Y[is_non_dominated(Y)])


def brute_force(front: Tensor, reference: Tensor, draws: Tensor) -> float:
    """Mean volume, of points drawn at random, that draws (``S x M``) add to the front's."""
    highest = torch.cat([front, draws]).max(dim=0).values
    points = torch.rand(4000, len(reference), generator=generator(7), dtype=torch.double)
    points = reference + points * (highest - reference)
    free = ~(front.unsqueeze(1) > points).all(dim=-1).any(dim=0)
    added = (draws.unsqueeze(1) > points[free]).all(dim=-1).double().mean(dim=0).sum()
    return float(added / len(points) * (highest - reference).prod())


@pytest.mark.parametrize("M", [2, 3, 4])
@pytest.mark.parametrize("n_front", [0, 1, 5])
def test_expected_improvement_is_that_of_draws(M: int, n_front: int) -> None:
    front, reference = random_front(n_front, M), torch.full((M,), -1.5).double()
    cells = boxes(front, reference)
    for seed in range(3):
        beliefs = [Belief(b.probabilities, b.means[:, [seed]], b.variances[:, [seed]])
                   for b in random_beliefs(3, M)]  # fmt: skip
        draws = torch.stack([drawn(b, 4000, seed + 10 * j) for j, b in enumerate(beliefs)], dim=1)
        expected = brute_force(front, reference, draws)
        value = float(expected_improvement(cells, beliefs)[0])
        assert value == pytest.approx(expected, rel=0.15, abs=0.02)


@pytest.mark.parametrize("M", [2, 3, 4])
def test_improvement_of_what_is_known_is_exact(M: int) -> None:
    front, reference = random_front(6, M), torch.full((M,), -2.0).double()
    points = normal(20, M, seed=3)
    beliefs = [Belief(torch.ones(1).double(), c[None], 0 * c[None]) for c in points.T]
    values = expected_improvement(boxes(front, reference), beliefs)
    before = hypervolume(front, reference)
    after = [hypervolume(torch.cat([front, point[None]]), reference) for point in points]
    torch.testing.assert_close(
        values, torch.tensor(after, dtype=torch.double) - before, rtol=1e-6, atol=1e-7
    )
    assert (values > 1e-3).any() and (values < 1e-6).any()


def test_many_candidates_are_scored_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = boxes(random_front(5, 3), torch.full((3,), -1.0).double())
    whole = expected_improvement(cells, random_beliefs(30, 3))
    monkeypatch.setattr("optuna_tnas.search.hypervolume._SIZE", 40)
    torch.testing.assert_close(expected_improvement(cells, random_beliefs(30, 3)), whole)


def test_of_many_objectives_a_part_of_the_front_counts() -> None:
    """So that the boxes stay few; what the front dominates may then count for something."""
    front, reference = normal(60, 5).abs(), torch.full((5,), -0.1).double()
    cells = boxes(front, reference)
    assert cells.shape[1] < 1000
    known = [Belief(torch.ones(1).double(), c[None], 0 * c[None]) for c in (front + 3).T]
    assert (expected_improvement(cells, known) > 0).all()


# --- the ranking ----------------------------------------------------------------------------


def modeled(M: int, n: int = 10) -> list[Objective]:
    """Objectives on the same ``n`` trials."""
    mixtures = [random_mixture(n, seed=0) for _ in range(M)]
    for j, mixture in enumerate(mixtures):
        for gp in mixture.gps:
            gp.train_targets = normal(n, seed=20 + j)
    return [ModeledObjective(mixture) for mixture in mixtures]


TRIALS, RANDOM = random_latents(10, seed=0), random_latents(40, seed=5)


def ranking(
    objectives: Sequence[Objective], pending: Tensor = NONE, seed: int = 0
) -> HypervolumeImprovement:
    return HypervolumeImprovement(objectives, TRIALS, pending, RANDOM, seed)


def means(objectives: Sequence[Objective], x: Tensor) -> Tensor:
    return torch.stack([o.belief(x).mean for o in objectives], dim=1)


def reference_of(objectives: Sequence[Objective]) -> Tensor:
    return reference_point(means(objectives, TRIALS), means(objectives, RANDOM))


@pytest.mark.parametrize("M", [2, 3])
def test_values_are_of_the_models_front(M: int) -> None:
    objectives = modeled(M)
    cells = boxes(means(objectives, TRIALS), reference_of(objectives))
    expected = expected_improvement(cells, [o.belief(Z) for o in objectives])
    torch.testing.assert_close(ranking(objectives).values(Z), expected)
    assert ranking(objectives).best(Z, np.arange(len(Z))) == int(expected.argmax())


@pytest.mark.parametrize("n_pending", [0, 3])
def test_the_order_of_objectives_changes_nothing(n_pending: int) -> None:
    objectives = modeled(3)
    values = [ranking(p).values(Z) for p in itertools.permutations(objectives)]
    for other in values[1:]:
        torch.testing.assert_close(other, values[0])
    if n_pending == 0:
        chosen = {
            ranking(p).best(Z, np.arange(len(Z))) for p in itertools.permutations(objectives)
        }
        assert len(chosen) == 1


def test_a_unit_changes_nothing() -> None:
    """Of known objectives, whose scale nothing else sees, once ranges are above the least one."""
    Y = 5 * normal(len(Z), 2)
    for factors in ([1.0, 1.0], [3.0, 1.0], [2.0, 7.0]):
        known = [KnownObjective(lambda x, j=j, f=f: f * Y[x.squeeze(1).long(), j])
                 for j, f in enumerate(factors)]  # fmt: skip
        places = torch.arange(len(Z)).double().unsqueeze(1)
        chosen = HypervolumeImprovement(known, places[:5], places[:0], places, 0).best(
            places, np.arange(5, len(Z))
        )
        if factors == [1.0, 1.0]:
            first = chosen
        assert chosen == first


def test_joint_values_are_those_of_joint_draws() -> None:
    """Of one GP each: the improvement over the front with the running trials' values."""
    objectives, pending = modeled(2), Z[[0, 7]]
    acquisition = ranking(objectives, pending)
    some = Z[20:23]
    values = acquisition._joint_values(some)
    for i, x in enumerate(some):
        together = torch.cat([pending, x[None]])
        draws = []
        for j, objective in enumerate(objectives):
            gps = objective._mixture.gps  # type: ignore[attr-defined]
            parts = []
            for g, share in enumerate([200, 400]):
                joint = gps[g].posterior(together.unsqueeze(0)).distribution
                root = torch.linalg.cholesky(joint.covariance_matrix[0])
                parts.append(joint.mean[0] + normal(share, 3, seed=100 * i + 10 * j + g) @ root.mT)
            mixed = torch.cat(parts)
            draws.append(mixed[torch.randperm(600, generator=generator(j))])
        Y = torch.stack(draws, dim=-1)  # S x 3 x M
        front, reference = means(objectives, TRIALS), reference_of(objectives)
        gains = [
            hypervolume(torch.cat([front, y]), reference)
            - hypervolume(torch.cat([front, y[:2]]), reference)
            for y in Y
        ]
        spread = float(np.std(gains)) / len(gains) ** 0.5
        assert float(values[i]) == pytest.approx(float(np.mean(gains)), abs=5 * spread + 0.02)


def test_what_is_pending_is_not_chosen_again() -> None:
    for M in (2, 3):
        objectives = modeled(M)
        alone = ranking(objectives).best(Z, np.arange(len(Z)))
        chosen = ranking(objectives, Z[[alone]]).best(Z, np.arange(len(Z)))
        assert chosen != alone
        assert (Z[chosen] - Z[alone]).norm() > 0.1


def test_one_seed_gives_one_choice() -> None:
    values = []
    for global_seed in (0, 1):
        torch.manual_seed(global_seed)
        values.append(ranking(modeled(2), Z[:3], seed=5)._joint_values(Z))
    assert torch.equal(*values)
    assert not torch.equal(values[0], ranking(modeled(2), Z[:3], seed=6)._joint_values(Z))


class _Limits:
    def __init__(self, feasible: Tensor) -> None:
        self.feasible = feasible

    def log_probability(self, x: Tensor) -> Tensor:
        return -x[:, 0].square()


def test_the_front_is_that_of_feasible_trials() -> None:
    objectives, feasible = modeled(2), torch.arange(10) % 2 == 0
    limited = HypervolumeImprovement(objectives, TRIALS, NONE, RANDOM, 0, _Limits(feasible))
    cells = boxes(means(objectives, TRIALS[feasible]), reference_of(objectives))
    alone = expected_improvement(cells, [o.belief(Z) for o in objectives])
    torch.testing.assert_close(limited.values(Z), alone * torch.exp(-Z[:, 0].square()))


@pytest.mark.parametrize("n_pending", [0, 3])
def test_until_a_trial_is_feasible_the_most_probable_one_is_chosen(n_pending: int) -> None:
    none = _Limits(torch.zeros(10, dtype=torch.bool))
    acquisition = HypervolumeImprovement(modeled(2), TRIALS, Z[:n_pending], RANDOM, 0, none)
    assert acquisition.best(Z, np.arange(len(Z))) == int(Z[:, 0].abs().argmin())


def test_only_what_is_allowed_is_chosen() -> None:
    allowed = np.arange(5, 60, 7)
    for pending in (NONE, Z[:2]):
        acquisition = ranking(modeled(2), pending)
        chosen = acquisition.best(Z, allowed)
        assert chosen in allowed
        assert chosen == allowed[acquisition.best(Z[allowed], np.arange(len(allowed)))]


def test_ties_go_to_the_highest_mean() -> None:
    """Known objectives that add nothing to the front."""
    Y = torch.tensor([[5.0, 5], [1, 2], [3, 1], [2, 2]]).double()
    known = [KnownObjective(lambda x, j=j: Y[x.squeeze(1).long(), j]) for j in range(2)]
    places = torch.arange(4).double().unsqueeze(1)
    acquisition = HypervolumeImprovement(known, places[:1], places[:0], places, 0)
    assert acquisition.best(places, np.array([1, 2, 3])) == 2


def test_the_reference_point_is_below_all_trials_and_most_architectures() -> None:
    trials, random = 3 + normal(5, 2).abs(), normal(200, 2, seed=1)
    reference = reference_point(trials, random)
    assert (reference < trials).all()
    assert ((random < reference).double().mean(dim=0) < 0.1).all()
    worse = torch.cat([trials, torch.tensor([[-9.0, 9.0]]).double()])
    assert reference_point(worse, random)[0] < -9
