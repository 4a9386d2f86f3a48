"""Format the figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.common import markdown
from benchmarks.past_settings import PastSetting
from benchmarks.report.figures import CLOSE
from benchmarks.report.figures import Difference
from benchmarks.report.figures import Method
from benchmarks.report.figures import Needed
from benchmarks.report.figures import Scope
from benchmarks.report.figures import scope
from benchmarks.report.figures import TOP
from benchmarks.report.results import Results
from benchmarks.report.results import SearchedTask
from benchmarks.report.statistics import LEVEL
from benchmarks.report.statistics import RESAMPLES


_table = partial(markdown.table, aligned=True)

LEGEND = f"""\
- Regret: (best - found) / (best - median) of the true values after so many evaluations; 0 is the
  optimum, 1 the median network. A mean is over a task's seeds, then over a family's tasks, then
  over the families. The lowest is bold.
- Difference: ours minus the rival over pairs, searches on the same task with the same seed, which
  had the same past; below 0 ours is better. The best rival is the one with the highest
  difference. The interval is the percentile bootstrap of {RESAMPLES:,} resamples of the seeds: as
  many as there are, with replacement, the same ones for all tasks, since one seed's searches on
  several tasks are alike. Tasks are not drawn: it is about other seeds on these tasks.
- Rank: by regret, among the methods on the same task with the same seed; 1 is the best, ties
  share their mean. Averaged as the regret is; over time also over the evaluations.
- To the optimum: evaluations until the best value was within {CLOSE} points of the best in the
  searched column. Top {TOP}: until one of the {TOP} networks with the best values was evaluated.
  Median (quartiles) of all searches together, and how many did.
- Repeats: a search's suggestions of networks that it had tried.
- \\*: fewer seeds than others have. Its means are over those it has; differences and ranks compare
  it with another method on the pairs there are.
"""


def scope_tables(scope: Scope, ours: str) -> Iterator[str]:
    """Yield four tables; the second is left out if there are no searches of ours."""
    yield f"## {scope.name}, {counted(len(scope.targets), 'task')}\n"
    if scope.left_out:
        yield f"Not on every task, so left out: {', '.join(scope.left_out)}.\n"
    if not scope.methods:
        return
    yield "Mean normalized regret after so many evaluations\n"
    yield from _table(["method", "seeds", *map(str, scope.budgets)], _regret_rows(scope))
    if scope.best_rivals:
        yield f"\n{ours} against the best rival\n"
        yield from _table(
            ["evaluations", "best rival", "difference", f"{LEVEL:.0%} interval", "pairs"],
            _rival_rows(scope),
        )
    yield f"\nMean rank; over time is the mean over evaluations 1 to {scope.compared}\n"
    heads = ["over time", *map(str, scope.budgets), "worst task"]
    yield from _table(["method", *heads], _rank_rows(scope))
    yield "\nEffort\n"
    heads = ["method", "to the optimum", "reached", f"top {TOP}", "reached"]
    yield from _table([*heads, "s per suggestion", "repeats"], map(_effort_row, scope.methods))
    yield ""


def _label(method: Method) -> str:
    return method.name + "\\*" * method.fewer


def _regret_rows(scope: Scope) -> list[list[str]]:
    best = {n: np.nanmin([m.regret[n] for m in scope.methods]) for n in scope.budgets}
    rows = []
    for m in scope.methods:
        fewest, most = m.seeds
        seeds = str(most) if fewest == most else f"{fewest} to {most}"
        cells = [_bold(_number(m.regret[n], 4), m.regret[n] == best[n]) for n in scope.budgets]
        rows.append([_label(m), seeds, *cells])
    return rows


def _rival_rows(scope: Scope) -> list[list[str]]:
    methods = {method.name: method for method in scope.methods}
    return [
        [str(n), _label(methods[name]), *_difference(methods[name].differences[n])]
        for n, name in scope.best_rivals.items()
    ]


def _difference(d: Difference) -> list[str]:
    ends = f"[{d.low:+.4f}, {d.high:+.4f}]" if np.isfinite(d.low) else "-"
    return [f"{d.mean:+.4f}", ends, str(d.pairs)]


def _rank_rows(scope: Scope) -> list[list[str]]:
    return [
        [
            _label(m),
            *(_number(rank, 2) for rank in (m.rank_over_time, *m.rank.values())),
            f"{m.worst_target}: {m.worst_rank:.2f}" if np.isfinite(m.worst_rank) else "-",
        ]
        for m in sorted(scope.methods, key=lambda m: np.nan_to_num(m.rank_over_time, nan=np.inf))
    ]


def _effort_row(m: Method) -> list[str]:
    needed = [*_needed(m.optimum), *_needed(m.top)]
    return [_label(m), *needed, f"{m.seconds:.4f}", f"{m.repeats:.1f}"]


def _needed(n: Needed | None) -> list[str]:
    """Format quartiles; one that was not reached is more than the trials there were."""
    if n is None:
        return ["-", "-"]
    lower, median, upper = (
        f"{q:g}" if np.isfinite(q) else f">{n.trials}" for q in (n.lower, n.median, n.upper)
    )
    return [f"{median} ({lower} to {upper})", f"{n.reached}/{n.searches}"]


def in_words(past: PastSetting) -> str:
    words = f"{past.n} past trials a task by {past.by}"
    if past.tasks is not None:
        words += f", {counted(past.tasks, 'past task')}"
    return words if past.spoil is None else f"{words}, {past.spoil}"


def counted(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


# --- of one task ----------------------------------------------------------------------------


def target_tables(results: Results, target: SearchedTask) -> Iterator[str]:
    """Yield tables of regret, true values and effort on one task."""
    part = results.on([target])
    figures = scope(str(target), results, [target])
    yield f"## {target}, {in_words(results.past)}\n"
    for what, x in (("Normalized regret", part.regret), ("True value", part.true)):
        yield f"{what}: mean ± standard deviation over the seeds\n"
        spread = _spread_rows(x[:, 0], part.methods, figures.budgets)
        rows = dict(zip(part.methods, spread, strict=True))
        heads = ["method", "seeds", *map(str, figures.budgets)]
        yield from _table(heads, [rows[m.name] for m in figures.methods])
        yield ""
    yield f"Evaluations to reach {CLOSE} points below the optimum of the searched values, "
    yield f"{part.optimum[0]:.2f}: median (quartiles)\n"
    best = dict(zip(part.methods, _final(part.best), strict=True))
    heads = ["method", "evaluations", "reached", "best value", "s per suggestion", "repeats"]
    yield from _table(heads, (_target_effort(m, best[m.name]) for m in figures.methods))
    yield ""


def _spread_rows(x: np.ndarray, methods: Sequence[str], budgets: Sequence[int]) -> list[list[str]]:
    """Format a row for each method of methods x seeds x evaluations."""
    rows = []
    for method, own in zip(methods, x, strict=True):
        known = [column[np.isfinite(column)] for column in own[:, np.array(budgets) - 1].T]
        cells = [f"{k.mean():.4f} ± {k.std():.4f}" if k.size else "-" for k in known]
        rows.append([method, str(np.isfinite(own[:, 0]).sum()), *cells])
    return rows


def _final(best: np.ndarray) -> list[float]:
    """Average the best values that each method's searches ended with."""
    ends = best[:, 0].max(axis=-1, initial=-np.inf, where=np.isfinite(best[:, 0]))
    return [float(x[np.isfinite(x)].mean()) for x in ends]


def _target_effort(m: Method, best: float) -> list[str]:
    return [m.name, *_needed(m.optimum), f"{best:.3f}", f"{m.seconds:.4f}", f"{m.repeats:.1f}"]


# --- cells ----------------------------------------------------------------------------------


def _number(x: float, digits: int) -> str:
    return f"{x:.{digits}f}" if np.isfinite(x) else "-"


def _bold(cell: str, is_bold: bool) -> str:
    return f"**{cell}**" if is_bold else cell
