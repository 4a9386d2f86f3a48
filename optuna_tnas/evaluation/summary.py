"""Summary of an evaluation: how much transfer helps, on which studies, thanks to which."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optuna_tnas.evaluation.fronts import FrontOutcome
from optuna_tnas.evaluation.replay import METHODS
from optuna_tnas.evaluation.replay import Outcome
from optuna_tnas.evaluation.replay import WITH
from optuna_tnas.evaluation.replay import WITHOUT
from optuna_tnas.markdown import table


MARKS = (1, 5, 10, 20)  # trials after which the tables show the regret


@dataclass(frozen=True)
class Target:
    """Means over the seeds of the outcomes of one study.

    Attributes:
        name: Name of the study.
        seeds: Number of outcomes.
        architectures: Number of different architectures that were measured.
        trials: By method, trials until one of the best 5 % is found.
        saved: Trials that transfer saves until then.
        regret: By method, normalized regret after 1, 2, ... trials.
        rank_correlation: Spearman's, of the values with what the other studies predict together.
        sources: By the name of each other study, the same for what it alone predicts.
    """

    name: str
    seeds: int
    architectures: int
    trials: dict[str, float]
    saved: float
    regret: dict[str, list[float]]
    rank_correlation: float
    sources: dict[str, float]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Target:
        """Average all outcomes of one study."""
        trials = {m: _mean([o.trials[m] for o in outcomes]) for m in METHODS}
        return cls(
            name=outcomes[0].target,
            seeds=len(outcomes),
            architectures=outcomes[0].architectures,
            trials=trials,
            saved=trials[WITHOUT] - trials[WITH],
            regret={m: np.mean([o.regret[m] for o in outcomes], axis=0).tolist() for m in METHODS},
            rank_correlation=_mean([o.rank_correlation for o in outcomes]),
            sources={
                name: _mean([o.sources[name] for o in outcomes]) for name in outcomes[0].sources
            },
        )


@dataclass(frozen=True)
class Front:
    """Means over the seeds of the outcomes of one study's objectives together.

    Attributes:
        name: Name of the study.
        seeds: Number of outcomes.
        architectures: Number of different architectures that were measured.
        hypervolume_regret: By method, share of their hypervolume that is missing after 1, 2, ...
            trials.
    """

    name: str
    seeds: int
    architectures: int
    hypervolume_regret: dict[str, list[float]]

    @classmethod
    def of(cls, outcomes: Sequence[FrontOutcome]) -> Front:
        """Average all outcomes of one study."""
        return cls(
            name=outcomes[0].target,
            seeds=len(outcomes),
            architectures=outcomes[0].architectures,
            hypervolume_regret={
                m: np.mean([o.hypervolume_regret[m] for o in outcomes], axis=0).tolist()
                for m in METHODS
            },
        )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


@dataclass(frozen=True)
class Source:
    """A study in the role of the one that others learn from.

    Attributes:
        name: Name of the study.
        mean: Rank correlation of its predictions with another study's values, mean over the
            other studies.
        hurts: Whether the mean is below 0.
    """

    name: str
    mean: float
    hurts: bool


@dataclass(frozen=True)
class Summary:
    """All figures of an evaluation, or of the finished part of it.

    Attributes:
        n_trials: Trials of each search.
        targets: The studies that were left out.
        sources: The studies that were learned from, the most helpful first.
        fronts: The studies with several objectives that were left out.
    """

    n_trials: int
    targets: list[Target]
    sources: list[Source]
    fronts: list[Front]

    @classmethod
    def of(
        cls, outcomes: Sequence[Outcome], n_trials: int, fronts: Sequence[FrontOutcome] = ()
    ) -> Summary:
        """Summarize one outcome or more, and those of several objectives together."""
        names = dict.fromkeys(outcome.target for outcome in outcomes)
        targets = [Target.of([o for o in outcomes if o.target == name]) for name in names]
        agreement: dict[str, list[float]] = {}
        for target in targets:
            for name, value in target.sources.items():
                agreement.setdefault(name, []).append(value)
        means = {name: _mean(values) for name, values in agreement.items()}
        ranked = sorted(means, key=lambda name: -means[name])
        sources = [Source(n, means[n], means[n] < 0) for n in ranked]
        several = dict.fromkeys(front.target for front in fronts)
        found = [Front.of([f for f in fronts if f.target == name]) for name in several]
        return cls(n_trials, targets, sources, found)

    def sentences(self) -> str:
        """Tell the main figures in two sentences."""
        saved = [target.saved for target in self.targets]
        median = round(float(np.median(saved)), 1)
        helped = [t.name for t in self.targets if t.saved >= 1]
        hurt = [t.name for t in self.targets if t.saved <= -1]
        sources = [s.name for s in self.sources if s.hurts]
        return (
            f"Transfer {'costs' if median < 0 else 'saves'} {abs(median):g} trials of "
            f"{self.n_trials} (median over {len(saved)} of the studies) until one of the best "
            f"5 % is found; by a trial or more, it helps on {len(helped)} and hurts on "
            f"{len(hurt)}{_listed(hurt)}. "
            f"Studies that mislead the others on average: {len(sources)}{_listed(sources)}."
        )

    def mean_regret(self, method: str) -> list[float]:
        """Average the regret after 1, 2, ... trials over the studies that have as many."""
        return _mean_curve([target.regret[method] for target in self.targets])

    # --- text -------------------------------------------------------------------------------

    def tables(self) -> str:
        """Write Markdown tables: trials, regrets, sources, and hypervolumes if there are any."""
        tables = [self._trials_table(), self._regret_table(), self._source_table()]
        return "\n\n".join(tables + ([self._front_table()] if self.fronts else []))

    def _trials_table(self) -> str:
        rows = []
        for t in self.targets:
            ranked = sorted(t.sources.items(), key=lambda item: item[1])
            best, worst = (f"{name} {value:.2f}" for name, value in (ranked[-1], ranked[0]))
            trials = [self._shown(t.trials[m], t.architectures) for m in METHODS]
            rows.append(
                [
                    *(t.name, t.architectures, *trials),
                    *(f"{t.saved:.1f}", f"{t.rank_correlation:.2f}", best, worst),
                ]
            )
        until = [f"trials to the best 5 %, {WITH}", *METHODS[1:]]
        columns = ["study", "architectures", *until, "saved"]
        return table([*columns, "rank correlation", "best source", "worst source"], rows)

    def _shown(self, trials: float, architectures: int) -> str:
        budget = min(self.n_trials, architectures)
        return f"{trials:.1f}" if trials <= budget else f">{budget}"

    def _regret_table(self) -> str:
        return self._curves_table("regret", {t.name: t.regret for t in self.targets})

    def _front_table(self) -> str:
        curves = {front.name: front.hypervolume_regret for front in self.fronts}
        return self._curves_table("hypervolume regret", curves)

    def _curves_table(self, what: str, curves: Mapping[str, Mapping[str, list[float]]]) -> str:
        marks = [n for n in MARKS if n <= self.n_trials]
        rows = [[name, *(_curve(c[m], marks) for m in METHODS)] for name, c in curves.items()]
        means = [_mean_curve([curve[m] for curve in curves.values()]) for m in METHODS]
        rows.append(["**mean**", *(_curve(mean, marks) for mean in means)])
        after = " / ".join(map(str, marks))
        return table([f"{what} after {after} trials", *METHODS], rows)

    def _source_table(self) -> str:
        rows = [[s.name, f"{s.mean:.2f}", "hurts" if s.hurts else ""] for s in self.sources]
        return table(["source", "mean over the others", ""], rows)


def _mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    """Average after 1, 2, ... trials those curves that are as long."""
    longest = max(map(len, curves))
    return [_mean([curve[n] for curve in curves if n < len(curve)]) for n in range(longest)]


def _listed(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


def _curve(regret: Sequence[float], marks: Sequence[int]) -> str:
    return " / ".join(f"{regret[n - 1]:.2f}" if n <= len(regret) else "-" for n in marks)
