"""Tuning of the surrogate's sizes and learning rates on the past studies, with BOHB.

Falkner et al., "BOHB: robust and efficient hyperparameter optimization at scale" (ICML 2018), by
Optuna's TPESampler and HyperbandPruner. The budget is meta-training steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
import json

from linear_operator.utils.errors import NanError
from linear_operator.utils.errors import NotPSDError
import numpy as np
import optuna
from optuna.pruners import HyperbandPruner
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage
from optuna.trial import BaseTrial
from optuna.trial import FrozenTrial
from optuna.trial import Trial
from optuna.trial import TrialState
from tqdm import tqdm

from optuna_tnas import markdown
from optuna_tnas.config import Config
from optuna_tnas.meta.training import train_kernel
from optuna_tnas.meta.training import untrained
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.settings import check_settings
from optuna_tnas.studies.storage import open_storage


STUDY_NAME = "optuna-tnas-tune"
# A third of the tasks is held out: with fewer, the choice would follow their peculiarities.
# 60 steps rank the trials; meta-training with the chosen config takes as many as it is given.
BASE = Config(held_out=1 / 3, outer_steps=60)
_REFERENCE = "reference"  # the user attribute of trials that the result is compared with


@dataclass(frozen=True)
class Row:
    """One config in the closing comparison.

    Attributes:
        name: ``"default"``, ``"paper"`` or ``"best"``.
        loss: Lowest negative log likelihood per pair of the held-out tasks.
        values: Values of the tuned parameters by name.
    """

    name: str
    loss: float
    values: dict[str, float]


class Tuning:
    """A search for the config whose kernel explains held-out tasks best.

    A trial meta-trains the encoders and the kernel; its value is the lowest negative log
    likelihood per pair of the held-out tasks that it saw, as early stopping uses it. They are the
    same for all trials, and they choose the config: on them its figures are optimistic. Of fewer
    than five tasks, trials are held out instead. The first trial is the default, the second has
    the paper's sizes (the first and the last of its four joint layers, since two are tuned);
    these two are never pruned.

    Args:
        history: The past studies.
        storage: Storage of the tuning's own study; one of an earlier run is continued.
        seed: Seed of the choice of the held-out tasks, the trials and each trial's training.
        base: Values of the other fields, ``BASE`` unless given; ``outer_steps`` is a trial's
            budget.

    Raises:
        StudyError: If the storage holds a tuning with another history, seed or base.
        StorageError: If the storage cannot be opened.
    """

    def __init__(
        self,
        history: MetaDataset,
        storage: str | BaseStorage,
        seed: int = 0,
        base: Config | None = None,
    ) -> None:
        self._history = history
        self._seed = seed
        self._base = base = base or BASE
        self.study = optuna.create_study(
            study_name=STUDY_NAME,
            storage=open_storage(storage, create=True),
            pruner=HyperbandPruner(base.evaluate_every, base.outer_steps, reduction_factor=3),
            load_if_exists=True,
        )
        self._check_settings()

    @property
    def finished(self) -> int:
        """Trials that ran to their end or were pruned."""
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        return len(self.study.get_trials(deepcopy=False, states=states))

    def run(self, n_trials: int, progress: bool | None = None) -> None:
        """Run trials until ``n_trials`` are finished, those of earlier runs included.

        Args:
            n_trials: Total number of finished trials.
            progress: Whether to show a progress bar; None: on a terminal only.
        """
        self._enqueue_references()
        hide = None if progress is None else not progress
        with tqdm(total=n_trials, initial=self.finished, desc="tuning", disable=hide) as bar:
            while self.finished < n_trials:
                self.study.sampler = self._sampler()
                self.study.optimize(self._objective, n_trials=1)
                bar.update()
                best = self._best_trial()
                bar.set_postfix(best=f"{best.values[0]:.3f}" if best else "-")

    def best(self) -> Config | None:
        """The best config so far, None without a trial that ran to its end.

        Its budget and its share of held-out tasks are those of the default again.
        """
        trial = self._best_trial()
        if trial is None:
            return None
        steps, share = Config.outer_steps, Config.held_out
        return replace(suggest(trial, self._base), outer_steps=steps, held_out=share)

    def rows(self) -> list[Row]:
        """The references and the best, as far as there are any."""
        done = self._completed()
        named = [(t.user_attrs[_REFERENCE], t) for t in done if _REFERENCE in t.user_attrs]
        best = self._best_trial()
        if best is not None:
            named.append(("best", best))
        return [Row(name, t.values[0], dict(t.params)) for name, t in named]

    def _completed(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    def _best_trial(self) -> FrozenTrial | None:
        return min(self._completed(), key=lambda trial: trial.values[0], default=None)

    def _check_settings(self) -> None:
        """One study holds trials that can be compared."""
        settings = {
            "history": self._history.fingerprint,
            "seed": self._seed,
            "base": json.loads(json.dumps(self._base.state())),  # as a storage gives it back
        }
        where = f"The study {STUDY_NAME!r} in this storage"
        found = self.study.user_attrs.get("settings", {})
        check_settings(where, found, settings, "give another --storage")
        self.study.set_user_attr("settings", settings)

    def _enqueue_references(self) -> None:
        """Those that are neither done nor waiting; a killed one stays RUNNING for ever."""
        states = (TrialState.COMPLETE, TrialState.WAITING)
        trials = self.study.get_trials(deepcopy=False, states=states)
        there = {trial.user_attrs.get(_REFERENCE) for trial in trials}
        for name in ("default", "paper"):
            if name not in there:
                values = tuned_values(Config.preset(name))
                self.study.enqueue_trial(values, user_attrs={_REFERENCE: name})

    def _sampler(self) -> TPESampler:
        """The next trial's; seeded by its number, so that a resumed run repeats no draws.

        Each of Hyperband's brackets is modeled on its own, hence few trials at random.
        """
        number = len(self.study.get_trials(deepcopy=False))
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        return TPESampler(n_startup_trials=5, constant_liar=False, seed=seed)

    def _objective(self, trial: Trial) -> float:
        surrogate = untrained(self._history, suggest(trial, self._base), self._seed)

        def watch(step: int, loss: float) -> None:
            trial.report(loss, step)
            if trial.should_prune() and _REFERENCE not in trial.user_attrs:
                raise optuna.TrialPruned

        try:
            losses = train_kernel(
                surrogate, self._history, seed=self._seed, progress=False, watch=watch
            )
        except (NanError, NotPSDError) as error:  # what rates end in that are too high
            raise optuna.TrialPruned(str(error)) from error
        return losses["held out"]


def suggest(trial: BaseTrial, base: Config) -> Config:
    """Give ``base`` with a trial's sizes and rates: suggested now, or those of a past trial."""
    heads = base.dataset_heads
    return replace(
        base,
        architecture_hidden=trial.suggest_int("architecture_hidden", 16, 512, log=True),
        architecture_dim=trial.suggest_int("architecture_dim", 8, 128, log=True),
        dataset_width=trial.suggest_int("dataset_width", 2 * heads, 16 * heads, step=heads),
        dataset_dim=trial.suggest_int("dataset_dim", 4, 64, log=True),
        joint_layers=(
            trial.suggest_int("joint_hidden", 16, 256, log=True),
            trial.suggest_int("joint_dim", 8, 256, log=True),
        ),
        inner_rate=trial.suggest_float("inner_rate", 1e-4, 1e-2, log=True),
        outer_rate=trial.suggest_float("outer_rate", 0.1, 1.0),
    )


def tuned_values(config: Config) -> dict[str, float]:
    """Give a config's values of the parameters that :func:`suggest` suggests."""
    names = ("architecture_hidden", "architecture_dim", "dataset_width", "dataset_dim")
    rates = ("inner_rate", "outer_rate")
    return {
        **{name: getattr(config, name) for name in names},
        "joint_hidden": config.joint_layers[0],
        "joint_dim": config.joint_layers[-1],
        **{name: getattr(config, name) for name in rates},
    }


def table(rows: list[Row]) -> str:
    """Write a Markdown table with a column for each row of the comparison."""
    names = tuned_values(Config())
    losses = ["held-out loss", *(f"{row.loss:.3f}" for row in rows)]
    values = [[name, *(f"{row.values[name]:.3g}" for row in rows)] for name in names]
    return markdown.table(["", *(row.name for row in rows)], [losses, *values])
