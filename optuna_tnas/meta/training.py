"""Meta-training: REPTILE on the GP's negative log marginal likelihood.

TNAS (Shala et al., ICLR 2023) with the outer update of Nichol et al., "On first-order
meta-learning algorithms" (2018). Gradients go end to end through psi, phi, xi and the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from optuna_tnas.config import Config
from optuna_tnas.datasets.sample import N_FEATURES
from optuna_tnas.errors import HistoryError
from optuna_tnas.meta.past import past_of
from optuna_tnas.meta.warm_start import choose_warm_start
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task
from optuna_tnas.surrogate import likelihood
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.numerics import controlled_numerics
from optuna_tnas.surrogate.outcomes import scale_labels


# With fewer tasks, early stopping watches held-out trials instead of held-out tasks.
_ENOUGH_TASKS = 5
_MAX_HELD_OUT_TASKS = 50
_MAX_HELD_OUT_TRIALS = 100  # per task
# Tasks in a mini-batch. Pairs of tasks whose data sets are unknown teach the kernel only beside
# others of the same task, so a batch must not be spread over too many.
_MAX_BATCH_TASKS = 50
_MAX_SCALE_POINTS = 200_000  # that the points' mean and deviation are computed from, or few more

Watch = Callable[[int, float], None]


def meta_train(
    history: MetaDataset,
    *,
    preset: str = "default",
    config: Config | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> MetaSurrogate:
    """Learn a surrogate from past studies.

    It is computed with one CPU thread, so that the same seed gives the same surrogate whatever
    number of threads PyTorch has; on a GPU, as far as the GPU repeats its results.

    Args:
        history: The past studies.
        preset: ``"default"`` or ``"paper"``.
        config: Sizes and rates, instead of a preset.
        seed: Of the initial weights and the mini-batches.
        device: Where the encoders are trained, the CPU unless given.
        progress: Whether to show a progress bar; unless given, on a terminal only.

    Raises:
        HistoryError: If the data set samples of the history differ in width.
    """
    surrogate = untrained(history, config or Config.preset(preset), seed)
    train(surrogate.to(device or "cpu"), history, seed=seed, progress=progress)
    return surrogate


def untrained(history: MetaDataset, config: Config, seed: int) -> MetaSurrogate:
    """A new surrogate for the history's space and data sets.

    Raises:
        HistoryError: If the data set samples of the history differ in width.
    """
    return MetaSurrogate(history.space, config, n_features=_n_features(history), seed=seed)


def train(
    surrogate: MetaSurrogate, history: MetaDataset, *, seed: int, progress: bool | None
) -> None:
    """Let a new surrogate learn from past studies; arguments as for :func:`meta_train`."""
    losses = train_kernel(surrogate, history, seed=seed, progress=progress)
    with controlled_numerics():
        if surrogate.config.gp == "transfer":
            surrogate.past = past_of(surrogate, history)
        surrogate.warm_start = choose_warm_start(surrogate, history)
    surrogate.provenance = {
        "tasks": {task.name: len(task.y) for task in history.tasks},
        "trials": history.n_trials,
        "left out": dict(history.left_out),
        "data sets known": sum(task.dataset is not None for task in history.tasks),
        "seed": seed,
        "losses": losses,
        "versions": {
            name: version(name) for name in ("optuna-tnas", "optuna", "torch", "botorch")
        },
    }


def train_kernel(
    surrogate: MetaSurrogate,
    history: MetaDataset,
    *,
    seed: int,
    progress: bool | None,
    watch: Watch | None = None,
) -> dict[str, float]:
    """What :func:`train` begins with: REPTILE on the encoders and the kernel.

    Args:
        surrogate: A new one.
        history: The past studies.
        seed: Of the mini-batches and of what is held out.
        progress: As for :func:`meta_train`.
        watch: Called at every look at what is held out, with the outer updates so far and the
            lowest negative log likelihood per pair so far; an exception ends the training.

    Returns:
        The losses by name; ``"held out"`` is the lowest one, of the weights that are kept.
    """
    rng = np.random.default_rng(seed)
    pairs = [_Pairs.of(task) for task in history.tasks]
    trained_on, held_out = _split(pairs, surrogate.config, rng)
    with controlled_numerics():
        _set_feature_scale(surrogate, history)
        losses = _reptile(surrogate, trained_on, held_out, rng, progress, watch)
    surrogate.requires_grad_(False).eval()
    return losses


@dataclass(frozen=True)
class _Pairs:
    """A task's (architecture, data set) pairs with scaled labels."""

    task: Task
    X: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, task: Task) -> _Pairs:
        return cls(task, task.X, scale_labels(task.y))

    def take(self, rows: np.ndarray) -> _Pairs:
        return _Pairs(self.task, self.X[rows], self.y[rows])


def _n_features(history: MetaDataset) -> int:
    widths = {t.name: t.dataset.n_features for t in history.tasks if t.dataset is not None}
    if len(set(widths.values())) > 1:
        raise HistoryError(
            f"The past data sets are described by different numbers of features, {widths}; "
            "describe all of them the same way."
        )
    return next(iter(widths.values()), N_FEATURES)


def _set_feature_scale(surrogate: MetaSurrogate, history: MetaDataset) -> None:
    """Standardize the points by the statistics of all past data sets."""
    points = [task.dataset.points for task in history.tasks if task.dataset is not None]
    if points:
        step = 1 + sum(map(len, points)) // _MAX_SCALE_POINTS
        everything = torch.from_numpy(np.concatenate([p[::step] for p in points]))
        encoder = surrogate.dataset_encoder
        encoder.feature_mean.copy_(everything.mean(dim=0))
        encoder.feature_scale.copy_(everything.std(dim=0).clamp_min(1e-3))


def _split(
    pairs: Sequence[_Pairs], config: Config, rng: np.random.Generator
) -> tuple[list[_Pairs], list[_Pairs]]:
    """Pairs to train on and pairs to watch: other tasks, or other trials if tasks are few."""
    if len(pairs) >= _ENOUGH_TASKS:
        order = rng.permutation(len(pairs))
        n = min(max(1, round(config.held_out * len(pairs))), _MAX_HELD_OUT_TASKS)
        first = np.arange(_MAX_HELD_OUT_TRIALS)
        watched = [pairs[i].take(first[: len(pairs[i].y)]) for i in order[:n]]
        return [pairs[i] for i in sorted(order[n:])], watched
    train, held_out = [], []
    for p in pairs:
        order = rng.permutation(len(p.y))
        n = min(round(config.held_out * len(p.y)), _MAX_HELD_OUT_TRIALS)
        train.append(p.take(order[n:]))
        held_out.append(p.take(order[:n]))
    return train, [p for p in held_out if len(p.y) > 1] or train


def _reptile(
    surrogate: MetaSurrogate,
    train: Sequence[_Pairs],
    held_out: Sequence[_Pairs],
    rng: np.random.Generator,
    progress: bool | None,
    watch: Watch | None = None,
) -> dict[str, float]:
    """``w <- w + epsilon (w' - w)``, until the held-out loss stops falling; keeps the best w."""
    config = surrogate.config
    optimizer = torch.optim.Adam(surrogate.parameters(), lr=config.inner_rate)
    first = best = _held_out_loss(surrogate, held_out)
    best_weights = _weights(surrogate)
    loss, waited, step = float("nan"), 0, 0
    hide = None if progress is None else not progress  # None: hidden unless on a terminal
    with tqdm(total=config.outer_steps, desc="meta-training", disable=hide) as bar:
        for step in range(1, config.outer_steps + 1):
            slow = [p.detach().clone() for p in surrogate.parameters()]
            for _ in range(config.inner_steps):
                loss = _step(surrogate, optimizer, _batch(train, config.batch_size, rng), rng)
            with torch.no_grad():
                for p, w in zip(surrogate.parameters(), slow, strict=True):
                    p.copy_(w + config.outer_rate * (p - w))
            bar.update()
            if step % config.evaluate_every == 0 or step == config.outer_steps:
                watched = _held_out_loss(surrogate, held_out)
                bar.set_postfix(loss=f"{loss:.3f}", held_out=f"{watched:.3f}")
                waited += 1
                if watched < best:
                    best, best_weights, waited = watched, _weights(surrogate), 0
                if watch is not None:
                    watch(step, best)
                if waited >= config.patience:
                    break
    surrogate.load_state_dict(best_weights)
    return {
        "train": loss,
        "held out before": first,
        "held out": best,
        "outer steps": float(step),
    }


def _weights(surrogate: MetaSurrogate) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in surrogate.state_dict().items()}


def _batch(train: Sequence[_Pairs], size: int, rng: np.random.Generator) -> list[_Pairs]:
    """Pairs of ``size`` in all, uniform over the tasks or random 50 of them, without repeats."""
    if len(train) > _MAX_BATCH_TASKS:
        train = [train[i] for i in rng.choice(len(train), _MAX_BATCH_TASKS, replace=False)]
    counts = rng.multinomial(size, np.full(len(train), 1 / len(train)))
    return [
        pairs.take(rng.permutation(len(pairs.y))[:count])
        for pairs, count in zip(train, counts, strict=True)
        if count > 0
    ]


def _step(
    surrogate: MetaSurrogate,
    optimizer: torch.optim.Optimizer,
    batch: Sequence[_Pairs],
    rng: np.random.Generator,
) -> float:
    optimizer.zero_grad()
    loss = negative_log_likelihood(surrogate, batch, rng)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(surrogate.parameters(), 10.0)
    optimizer.step()
    return loss.item()


@torch.no_grad()
def _held_out_loss(surrogate: MetaSurrogate, held_out: Sequence[_Pairs]) -> float:
    """Mean over the held-out tasks, each a GP of its own as in a search."""
    losses = [
        negative_log_likelihood(surrogate, [pairs], np.random.default_rng(0)) for pairs in held_out
    ]
    return float(torch.stack(losses).mean())


def negative_log_likelihood(
    surrogate: MetaSurrogate, batch: Sequence[_Pairs], rng: np.random.Generator
) -> Tensor:
    """The GP's negative log marginal likelihood per pair.

    Pairs whose data sets are known form one joint GP, as in the paper. Of a task without a data
    set nothing says how it relates to the others, so it is a GP of its own.

    Args:
        surrogate: The surrogate.
        batch: Pairs by task.
        rng: Draws the data sets' points.
    """
    encoded = _encode(surrogate, batch, rng)
    known = [e for pairs, e in zip(batch, encoded, strict=True) if pairs.task.dataset is not None]
    alone = [e for pairs, e in zip(batch, encoded, strict=True) if pairs.task.dataset is None]
    joint = [(torch.cat([Z for Z, _ in known]), torch.cat([y for _, y in known]))] if known else []
    losses = [_gp_loss(surrogate, Z, y) for Z, y in (*joint, *alone)]
    return torch.stack(losses).sum() / sum(len(pairs.y) for pairs in batch)


def _encode(
    surrogate: MetaSurrogate, batch: Sequence[_Pairs], rng: np.random.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Each task's latents ``n x M`` and labels ``n``; psi and phi see the whole batch at once."""
    sizes = [len(pairs.y) for pairs in batch]
    architectures = surrogate.encode_architectures(np.concatenate([p.X for p in batch]))
    datasets = surrogate.encode_datasets([p.task.dataset for p in batch], rng)
    repeats = torch.tensor(sizes, device=surrogate.device)
    joint = torch.cat([architectures, datasets.repeat_interleave(repeats, dim=0)], dim=-1)
    labels = [torch.from_numpy(p.y).to(surrogate.device) for p in batch]
    return list(zip(surrogate.kernel.encode(joint).split(sizes), labels, strict=True))


def _gp_loss(surrogate: MetaSurrogate, Z: Tensor, y: Tensor) -> Tensor:
    """Of one GP with latents ``n x M`` and labels ``n``."""
    covariance = surrogate.kernel.base_kernel(Z).to_dense()
    noise = surrogate.likelihood.noise * torch.eye(len(Z), dtype=Z.dtype, device=Z.device)
    return likelihood.negative_log_likelihood(covariance + noise, y - surrogate.mean.constant)
