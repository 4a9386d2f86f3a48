"""Mutants of the best architectures: the candidates of NASBOWL and BANANAS."""

from __future__ import annotations

import numpy as np

from optuna_tnas.spaces import Space


def mutate(space: Space, parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change one active choice of every parent: ``n x P`` -> ``n x P``.

    Choices that this one switches on are drawn at random.
    """
    active = space.active(parents)
    X = np.where(active, parents, rng.integers(0, space.n_choices, parents.shape))
    mutable = active & (space.n_choices > 1)
    chosen = np.where(mutable, rng.random(X.shape), -1.0).argmax(axis=1)
    rows, n = np.arange(len(X)), space.n_choices[chosen]
    X[rows, chosen] = (X[rows, chosen] + rng.integers(1, n)) % n
    return space.canonical(X)


def mutants_of_best(
    space: Space,
    X: np.ndarray,
    y: np.ndarray,
    rng: np.random.Generator,
    *,
    n_parents: int,
    n_each: int,
) -> np.ndarray:
    """Return different untried mutants of the best, those of better parents first.

    Args:
        space: The search space.
        X: ``n x P`` tried architectures.
        y: ``n`` values, higher is better.
        rng: Source of the mutations.
        n_parents: How many of the best are mutated.
        n_each: Mutants drawn of each; repeats are dropped.
    """
    parents = X[np.argsort(-y, kind="stable")[:n_parents]]
    return untried(mutate(space, np.repeat(parents, n_each, axis=0), rng), X)


def untried(pool: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return the different rows of ``pool`` that are not among those of ``X``, in order."""
    different = {row.tobytes(): row for row in pool}
    for row in X:
        different.pop(row.tobytes(), None)
    return np.array(list(different.values()), dtype=X.dtype).reshape(-1, X.shape[1])
