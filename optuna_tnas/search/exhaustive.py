"""Listed spaces: every architecture is a candidate, encoded once for all suggestions."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from functools import cached_property
from typing import Self

import numpy as np
import torch
from torch import Tensor

from optuna_tnas.search.acquisition import Ranking
from optuna_tnas.search.cheap import CheapObjectives
from optuna_tnas.search.constraints import KnownConstraints
from optuna_tnas.search.feasible import nothing_feasible
from optuna_tnas.search.fixed import agrees
from optuna_tnas.search.fixed import Fixed
from optuna_tnas.search.search import Search
from optuna_tnas.spaces import Space
from optuna_tnas.spaces.listing import Listing
from optuna_tnas.surrogate.blocks import Blocks
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.study_model import StudyModel


_MAX_CACHED = 1 << 24  # pairs of a trial and a candidate, 16 bytes each
_BLOCK = 1 << 16  # numbers of a table that stay in the processor's cache


class TableInputs(FeatureInputs):
    """A GP's inputs that are positions in a table of features: ``... x n x 1`` float64.

    Args:
        table: ``C x d`` float64 features.
        blocks: Columns of the features.
    """

    def __init__(self, table: Tensor, blocks: Blocks) -> None:
        super().__init__(blocks)
        self.table = table
        self.positions = torch.arange(len(table)).double().unsqueeze(-1)
        parts = [(table[:, block].contiguous(), c) for block, c in self.correlated]
        self.kept = KeptCorrelations(parts)
        self._predictions = table[:, blocks.predictions].contiguous()
        self._prior_mean = self._predictions.sum(dim=1)

    def of_metric(self, metric: int) -> Self:
        """Read the predictions of the metric at this position; what is kept is shared."""
        twin = super().of_metric(metric)
        twin._predictions = self.table[:, twin.blocks.predictions].contiguous()
        twin._prior_mean = twin._predictions.sum(dim=1)
        return twin

    def features(self, x: Tensor) -> Tensor:
        """Look up: ``... x n x 1`` -> ``... x n x d``."""
        return self.table[x.squeeze(-1).long()]

    def predictions(self, x: Tensor) -> Tensor:
        """Look up: ``... x n x 1`` -> ``... x n x C``."""
        return self._predictions[x.squeeze(-1).long()]

    def prior_mean(self, x: Tensor) -> Tensor:
        """Look up: ``... x n x 1`` -> ``... x n``."""
        return self._prior_mean[x.squeeze(-1).long()]

    def correlations(self, x1: Tensor, x2: Tensor) -> Sequence[Tensor]:
        """Look up what is kept: ``... x n x 1`` and ``... x m x 1`` -> ``... x n x m``."""
        if x1.ndim != 2 or x2.ndim != 2 or len(x1) * len(self.table) > _MAX_CACHED:
            return super().correlations(x1, x2)
        rows = self.kept.rows(x1.squeeze(-1).long().tolist())
        if not torch.equal(x2, self.positions):
            rows = rows.index_select(2, x2.squeeze(-1).long())
        return rows.unbind()


class KeptCorrelations:
    """Correlations of trials with the whole table, which never change.

    A trial's are a product of their own with each block of candidates: in a batch they would
    round otherwise in a search that was resumed. One block serves all trials before the next.

    Args:
        parts: J blocks of a table of ``C`` candidates, ``C x d`` each, and what correlates
            squared distances.
    """

    def __init__(self, parts: Sequence[tuple[Tensor, Callable[[Tensor], Tensor]]]) -> None:
        self._parts = [(part, part.square().sum(1), correlation) for part, correlation in parts]
        self.positions: list[int] = []  # of the rows below
        self._rows = self._new_rows(0)

    def rows(self, positions: list[int]) -> Tensor:
        """Correlate ``n`` candidates, without a copy where a search goes on: ``J x n x C``."""
        n = len(positions)
        for start in range(len(self.positions) - n + 1):
            if self.positions[start : start + n] == positions:
                return self._rows[:, start : start + n]
        if self.positions == positions[: len(self.positions)]:
            self._append(positions[len(self.positions) :])
        else:
            self._rebuild(positions)
        return self._rows[:, :n]

    def _append(self, positions: list[int]) -> None:
        missing = len(self.positions) + len(positions) - self._rows.shape[1]
        if missing > 0:
            self._rows = torch.cat([self._rows, self._new_rows(missing + 16)], dim=1)
        n = len(self.positions)
        self._fill(range(n, n + len(positions)), positions)
        self.positions += positions

    def _rebuild(self, positions: list[int]) -> None:
        """Reorder the rows, and compute those that are new."""
        known = {position: row for row, position in enumerate(self.positions)}
        old, self._rows = self._rows, self._new_rows(len(positions) + 16)
        self.positions = [*positions]
        new = []
        for i, position in enumerate(positions):
            if position in known:
                self._rows[:, i] = old[:, known[position]]
            else:
                new.append(i)
        self._fill(new, [positions[i] for i in new])

    def _fill(self, rows: Sequence[int], positions: Sequence[int]) -> None:
        """Compute rows: correlations of these candidates with all."""
        for j, (part, lengths, correlation) in enumerate(self._parts):
            products = self._products(part, positions)
            for row, position, product in zip(rows, positions, products, strict=True):
                squared = lengths + lengths[position] - 2 * product
                self._rows[j, row] = correlation(squared.clamp_min_(0))

    def _products(self, part: Tensor, positions: Sequence[int]) -> Tensor:
        """Multiply ``n`` rows of a ``C x d`` table with all: ``n x C``."""
        mine, products = part[positions], part.new_empty(len(positions), len(part))
        n = max(1, _BLOCK // part.shape[1])
        for block, of_block in zip(part.split(n), products.split(n, dim=1), strict=True):
            for vector, product in zip(mine, of_block, strict=True):
                torch.mv(block, vector, out=product)
        return products

    def _new_rows(self, n: int) -> Tensor:
        """Room for ``n`` rows: ``J x n x C``."""
        table = self._parts[0][0]
        return table.new_empty(len(self._parts), n, len(table))


class ExhaustiveSearch(Search):
    """Maximizes an acquisition over a whole listed space.

    Architectures that are the same network share one candidate.

    Args:
        space: The space.
        model: The study's model.
        constraints: Limits that are known before training; none unless given.
        cheap: Objectives that are known without training; none unless given.
    """

    def __init__(
        self,
        space: Space,
        model: StudyModel,
        constraints: KnownConstraints | None = None,
        cheap: CheapObjectives | None = None,
    ) -> None:
        super().__init__(space, model, FeatureInputs(model.features.blocks), constraints, cheap)
        self._listing = Listing(space)
        first = self._listing.X[self._listing.first]
        self._inputs = self._table = TableInputs(self._features(first), model.features.blocks)

    def inputs(self, X: np.ndarray) -> Tensor:
        """Look up the positions of ``n x P`` architectures among the candidates: ``n x 1``."""
        return torch.from_numpy(self._listing.networks_of(X)).double().unsqueeze(-1)

    def maximize(
        self,
        ranking: Ranking,
        start: np.ndarray,
        avoided: np.ndarray,
        fixed: Fixed,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Find the best architecture (``P``) that agrees with ``fixed`` and whose network is new.

        Infeasible ones are left out. If every network was tried: the best architecture not tried
        itself; else the best.
        """
        rows = self._allowed(avoided, fixed)
        networks = self._listing.network[rows]
        candidates = np.flatnonzero(np.bincount(networks))  # each network once
        chosen = ranking.best(self._table.positions, candidates)
        return np.asarray(self._listing.X[rows[networks == chosen][0]])

    def _allowed(self, avoided: np.ndarray, fixed: Fixed) -> np.ndarray:
        """Positions of the architectures to choose from."""
        listing = self._listing
        agreeing = agrees(self._space, listing.X, fixed)
        limited = self._constraints.under(fixed).names
        allowed = agreeing & self._feasible if limited else agreeing
        if not allowed.any():
            lowest = self._constraints.lowest(listing.X[agreeing])
            raise nothing_feasible(
                self._space, self._constraints, lowest, int(agreeing.sum()), fixed
            )
        new_network = allowed & ~np.isin(listing.network, listing.networks_of(avoided))
        if new_network.any():
            return np.flatnonzero(new_network)
        new = allowed & ~listing.contained_in(avoided)
        return np.flatnonzero(new if new.any() else allowed)

    @cached_property
    def _feasible(self) -> np.ndarray:
        """Which architectures meet the constraints: ``N`` bool."""
        return self._constraints.feasible(self._listing.X)
