"""REPTILE on the marginal likelihood: what it minimizes, how it steps and what it learns."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from gpytorch.distributions import MultivariateNormal
from gpytorch.mlls import ExactMarginalLogLikelihood
import numpy as np
import pytest
import torch
from torch import Tensor

from optuna_tnas.config import Config
from optuna_tnas.datasets import DatasetSample
from optuna_tnas.datasets import N_FEATURES
from optuna_tnas.errors import HistoryError
from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.meta.training import hold_out
from optuna_tnas.meta.training import meta_train
from optuna_tnas.meta.training import negative_log_likelihood
from optuna_tnas.meta.training import Pairs
from optuna_tnas.meta.training import reptile
from optuna_tnas.meta.training import sample_batch
from optuna_tnas.spaces import Space
from optuna_tnas.studies.curves import Curve
from optuna_tnas.studies.history import MetaDataset
from optuna_tnas.studies.history import Task
from optuna_tnas.surrogate.features import LatentMap
from optuna_tnas.surrogate.gp import StudyGP
from optuna_tnas.surrogate.kernels import FeatureInputs
from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate
from optuna_tnas.surrogate.outcomes import scale_labels
from optuna_tnas.surrogate.paper import paper_gp
from optuna_tnas.surrogate.unfinished import Agreement
from optuna_tnas.surrogate.unfinished import UNKNOWN
from tests.small_config import BRIEF


TaskOf = Callable[..., Task]
DatasetOf = Callable[[int, float], DatasetSample]


def weights(surrogate: MetaSurrogate) -> Tensor:
    return torch.cat([p.detach().double().flatten() for p in surrogate.network.parameters()])


def latents(surrogate: MetaSurrogate, X: np.ndarray, dataset: DatasetSample | None) -> Tensor:
    return LatentMap(surrogate.network, dataset)(X)


def gp_of(surrogate: MetaSurrogate, Z: Tensor, y: Tensor) -> StudyGP:
    """A GP with the meta-learned hyper-parameters."""
    inputs = FeatureInputs(LatentMap(surrogate.network, None).blocks)
    return paper_gp(inputs, Z, y, surrogate.network.hyperparameters)


def loss_of(surrogate: MetaSurrogate, *tasks: Task) -> float:
    """Mean over tasks, each as a search would see it."""
    rng = np.random.default_rng(0)
    with torch.no_grad():
        losses = [negative_log_likelihood(surrogate, [Pairs.of(t)], rng) for t in tasks]
    return float(torch.stack(losses).mean())


@pytest.fixture(scope="module")
def plain(space: Space, task_of: TaskOf) -> MetaDataset:
    """Tasks without data sets."""
    return MetaDataset(space, tuple(task_of(seed) for seed in range(6)))


@pytest.fixture(scope="module")
def mixed(space: Space, task_of: TaskOf, dataset_of: DatasetOf) -> MetaDataset:
    """Every third task has no data set."""
    datasets = [None if seed % 3 == 2 else dataset_of(seed, 1.0) for seed in range(6)]
    tasks = [task_of(seed, dataset=dataset) for seed, dataset in enumerate(datasets)]
    return MetaDataset(space, tuple(tasks))


@pytest.fixture(scope="module")
def brief(config: Config) -> Config:
    return replace(config, outer_steps=3, inner_steps=2, batch_size=32, evaluate_every=2)


# --- the loss -------------------------------------------------------------------------------


def test_loss_is_gpytorchs_on_one_task(space: Space, config: Config, task_of: TaskOf) -> None:
    surrogate, task = MetaSurrogate(space, config), task_of(0)
    y = torch.from_numpy(scale_labels(task.y))
    gp = gp_of(surrogate, latents(surrogate, task.X, None), y).train()
    mll = ExactMarginalLogLikelihood(gp.likelihood, gp)
    expected = -mll(gp(*gp.train_inputs), y).item()
    assert loss_of(surrogate, task) == pytest.approx(expected, rel=1e-4)


def log_probability(surrogate: MetaSurrogate, tasks: Sequence[Task]) -> float:
    """Of the labels under one joint normal distribution, by torch."""
    pairs = []
    for task in tasks:
        psi = surrogate.network.encode_architectures(task.X)
        phi = surrogate.network.encode_dataset(task.dataset).expand(len(psi), -1)
        pairs.append(torch.cat([psi, phi], dim=1))
    y = torch.from_numpy(np.concatenate([scale_labels(task.y) for task in tasks]))
    K = surrogate.network.kernel(torch.cat(pairs)).to_dense()
    K = K + surrogate.network.likelihood.noise * torch.eye(len(y))
    mean = torch.full_like(y, surrogate.network.hyperparameters.mean)
    return MultivariateNormal(mean, K).log_prob(y).item()


def test_metrics_of_one_data_set_do_not_contradict_each_other(
    space: Space, config: Config, task_of: TaskOf, dataset_of: DatasetOf
) -> None:
    """They are a joint GP each, over all data sets."""
    surrogate, rng = MetaSurrogate(space, config, n_features=5), np.random.default_rng(0)
    accuracy = [replace(task_of(s, dataset=dataset_of(s, 1.0)), metric="a") for s in range(2)]
    latency = [replace(task, y=-task.y, metric="b") for task in accuracy]
    tasks = [accuracy[0], latency[0], accuracy[1], latency[1]]
    loss = negative_log_likelihood(surrogate, [Pairs.of(task) for task in tasks], rng).item()
    each = [log_probability(surrogate, metric) for metric in (accuracy, latency)]
    assert loss == pytest.approx(-sum(each) / sum(len(t.y) for t in tasks), rel=1e-4)


def test_tasks_with_data_sets_are_one_joint_gp_and_the_others_their_own(
    mixed: MetaDataset, config: Config
) -> None:
    surrogate = MetaSurrogate(mixed.space, config, n_features=5)
    surrogate.network.mean.constant.fill_(0.2)
    known = [task for task in mixed.tasks if task.dataset is not None]
    unknown = [task for task in mixed.tasks if task.dataset is None]
    total = log_probability(surrogate, known)
    total += sum(log_probability(surrogate, [task]) for task in unknown)
    batch = [Pairs.of(task) for task in [*known, *unknown]]
    loss = negative_log_likelihood(surrogate, batch, np.random.default_rng(0))
    assert loss.item() == pytest.approx(-total / mixed.n_trials, rel=1e-4)


def test_gradients_reach_every_part(mixed: MetaDataset, config: Config) -> None:
    surrogate = MetaSurrogate(mixed.space, config, n_features=5)
    surrogate.network.requires_grad_(True)
    batch = [Pairs.of(task) for task in mixed.tasks]
    negative_log_likelihood(surrogate, batch, np.random.default_rng(0)).backward()
    for name, parameter in surrogate.network.named_parameters():
        assert parameter.grad is not None, name
        if "in_proj_bias" not in name and not name.startswith("kernel.network.2.bias"):
            assert parameter.grad.abs().sum() > 0, name


# --- the steps ------------------------------------------------------------------------------


def learning(space: Space, config: Config) -> MetaSurrogate:
    surrogate = MetaSurrogate(space, config)
    surrogate.network.requires_grad_(True).train()
    return surrogate


def ever_better() -> Callable[[], float]:
    """A held-out loss that falls with every evaluation."""
    losses = count(0, -1)
    return lambda: float(next(losses))


def test_reptile_with_one_whole_step_is_adam(plain: MetaDataset, config: Config) -> None:
    config = replace(config, inner_steps=1, outer_rate=1.0, outer_steps=7, batch_size=16)
    trained, plain_adam = (learning(plain.space, config) for _ in range(2))
    pairs = [Pairs.of(task) for task in plain.tasks]
    reptile(trained, pairs, ever_better(), np.random.default_rng(0))
    rng = np.random.default_rng(0)
    optimizer = torch.optim.Adam(plain_adam.network.parameters(), lr=config.inner_rate)
    for _ in range(7):
        loss = negative_log_likelihood(plain_adam, sample_batch(pairs, 16, rng), rng)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain_adam.network.parameters(), 10.0)
        optimizer.step()
    torch.testing.assert_close(weights(trained), weights(plain_adam))


def test_reptile_moves_a_part_of_the_way(plain: MetaDataset, config: Config) -> None:
    moved = {}
    for rate in (1.0, 0.25):
        config = replace(config, outer_rate=rate, outer_steps=1, inner_steps=3)
        surrogate = learning(plain.space, config)
        before = weights(surrogate)
        pairs = [Pairs.of(task) for task in plain.tasks]
        reptile(surrogate, pairs, ever_better(), np.random.default_rng(0))
        moved[rate] = weights(surrogate) - before
    assert moved[1.0].abs().max() > 1e-3
    torch.testing.assert_close(moved[0.25], 0.25 * moved[1.0], atol=1e-6, rtol=1e-3)


def test_batches_are_uniform_over_tasks_whatever_their_size(task_of: TaskOf) -> None:
    pairs = [Pairs.of(task_of(seed, n=n)) for seed, n in enumerate((50, 500, 5000))]
    rng = np.random.default_rng(0)
    counts = np.zeros(3)
    for _ in range(50):
        batch = sample_batch(pairs, 60, rng)
        assert sum(len(p.y) for p in batch) <= 60
        for p in batch:
            counts[int(p.task.name[-1])] += len(p.y)
    assert (abs(counts / counts.sum() - 1 / 3) < 0.03).all()


def test_batches_hold_no_pair_twice(task_of: TaskOf) -> None:
    task = task_of(0, n=40)
    task = replace(task, y=np.arange(40.0))
    (batch,) = sample_batch([Pairs.of(task)], 100, np.random.default_rng(0))
    assert len(np.unique(batch.y)) == len(batch.y) == 40


def test_work_of_a_step_is_bounded_and_uses_all_tasks(config: Config, task_of: TaskOf) -> None:
    pairs = [Pairs.of(replace(task_of(0, n=4), name=f"{i}")) for i in range(400)]
    rng = np.random.default_rng(0)
    batches = [sample_batch(pairs, 128, rng) for _ in range(100)]
    assert max(len(batch) for batch in batches) <= 50
    assert {p.task.name for batch in batches for p in batch} == {p.task.name for p in pairs}
    train, watched = hold_out(pairs, config, rng)
    assert len(watched) == 50
    assert len(train) == 350


@pytest.mark.parametrize("n_tasks", [1, 4, 5, 12])
def test_what_is_watched_is_not_trained_on(n_tasks: int, config: Config, task_of: TaskOf) -> None:
    pairs = [Pairs.of(task_of(seed, n=20)) for seed in range(n_tasks)]
    train, watched = hold_out(pairs, config, np.random.default_rng(0))
    names = [{p.task.name for p in part} for part in (train, watched)]
    if n_tasks < 5:  # too few tasks: other trials of the same ones
        assert names[0] == names[1]
        for a, b in zip(train, watched, strict=True):
            assert len(a.y) == 16
            assert sorted([*a.y, *b.y]) == sorted(Pairs.of(a.task).y)
    else:
        assert not names[0] & names[1]
        assert len(names[1]) == round(0.2 * n_tasks)
        assert len(names[0] | names[1]) == n_tasks


# --- the whole ------------------------------------------------------------------------------


def test_same_seed_same_weights(mixed: MetaDataset, brief: Config) -> None:
    first = meta_train(mixed, config=brief, seed=3)
    torch.manual_seed(99)
    np.random.seed(99)
    again, other = (meta_train(mixed, config=brief, seed=seed) for seed in (3, 4))
    assert torch.equal(weights(first), weights(again))
    assert (first.warm_starts[0] == again.warm_starts[0]).all()
    assert not torch.equal(weights(first), weights(other))


def test_global_generators_are_left_alone(mixed: MetaDataset, brief: Config) -> None:
    torch_state, np_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    meta_train(mixed, config=brief)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == np_state).all()


def test_torchs_defaults_do_not_matter(mixed: MetaDataset, brief: Config) -> None:
    expected = meta_train(mixed, config=brief)
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    try:
        surrogate = meta_train(mixed, config=brief)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert all(p.device.type == "cpu" for p in surrogate.network.parameters())
    assert torch.equal(weights(surrogate), weights(expected))
    assert (surrogate.warm_starts[0] == expected.warm_starts[0]).all()


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_the_number_of_threads_does_not_matter(mixed: MetaDataset, preset: str) -> None:
    """Layers so wide that PyTorch would divide their products among threads."""
    config = replace(Config.preset(preset), architecture_hidden=512, outer_steps=2)
    threads = torch.get_num_threads()
    try:
        one, three = (_with_threads(n, lambda: meta_train(mixed, config=config)) for n in (1, 3))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(weights(one), weights(three))
    assert (one.warm_starts[0] == three.warm_starts[0]).all()


def _with_threads(n: int, function: Callable[[], MetaSurrogate]) -> MetaSurrogate:
    torch.set_num_threads(n)
    surrogate = function()
    assert torch.get_num_threads() == n
    return surrogate


def test_it_learns_the_family(plain: MetaDataset, config: Config, task_of: TaskOf) -> None:
    surrogate = meta_train(plain, config=config)
    losses = surrogate.provenance["losses"]
    assert losses["held out"] < losses["held out before"] - 0.5
    new = [task_of(seed) for seed in range(100, 104)]
    untrained = loss_of(MetaSurrogate(plain.space, config), *new)
    independent = 0.5 * np.log(2 * np.pi) + 0.5  # of scaled labels that nothing predicts
    assert loss_of(surrogate, *new) < min(untrained - 0.5, independent - 0.1)
    assert not any(p.requires_grad for p in surrogate.network.parameters())
    assert not surrogate.network.training


def predicted(
    surrogate: MetaSurrogate, history: MetaDataset, X: np.ndarray, dataset: DatasetSample
) -> np.ndarray:
    """Values on a data set without any trial on it: the joint GP on all past tasks."""
    Z = torch.cat([latents(surrogate, task.X, task.dataset) for task in history.tasks])
    y = torch.from_numpy(np.concatenate([scale_labels(task.y) for task in history.tasks]))
    gp = gp_of(surrogate, Z, y)
    with torch.no_grad():
        return gp.posterior(latents(surrogate, X, dataset).unsqueeze(-2)).mean.flatten().numpy()


def test_it_learns_which_data_sets_are_alike(
    space: Space, config: Config, task_of: TaskOf, dataset_of: DatasetOf
) -> None:
    """Two groups of tasks want the opposite; one feature in five says which group it is."""
    signs = [1.0, -1.0] * 8
    tasks = [task_of(i, sign, dataset_of(i, sign)) for i, sign in enumerate(signs)]
    history = MetaDataset(space, tuple(tasks))
    trained = meta_train(history, config=config)
    untrained = MetaSurrogate(space, config, n_features=5)
    X = space.enumerate()
    n_convolutions = (X == 2).sum(axis=1)
    agreement = {}
    for name, surrogate in {"trained": trained, "untrained": untrained}.items():
        agreement[name] = [
            sign
            * np.corrcoef(
                predicted(surrogate, history, X, dataset_of(100 + i, sign)), n_convolutions
            )[0, 1]
            for i, sign in enumerate([1.0, -1.0] * 5)
        ]
    assert sum(a > 0 for a in agreement["trained"]) >= 9
    assert np.mean(agreement["trained"]) > np.mean(agreement["untrained"]) + 0.1


def test_provenance_says_where_the_weights_come_from(mixed: MetaDataset, brief: Config) -> None:
    provenance = meta_train(mixed, config=brief, seed=7).provenance
    assert provenance["tasks"] == {f"task {i}": 30 for i in range(6)}
    assert provenance["trials"] == 180
    assert provenance["data sets known"] == 4
    assert provenance["seed"] == 7
    assert {"optuna-tnas", "optuna", "torch"} <= provenance["versions"].keys()


def test_points_are_standardized_by_all_past_data_sets(mixed: MetaDataset, brief: Config) -> None:
    encoder = meta_train(mixed, config=brief).network.dataset_encoder
    points = np.concatenate([t.dataset.points for t in mixed.tasks if t.dataset is not None])
    np.testing.assert_allclose(encoder.feature_mean, points.mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(encoder.feature_scale, points.std(axis=0), rtol=1e-2)


def test_features_that_never_vary_are_survived(
    space: Space, brief: Config, task_of: TaskOf
) -> None:
    dataset = DatasetSample.from_features(np.full((10, 5), 7.0), np.arange(10) % 2)
    history = MetaDataset(space, tuple(task_of(i, dataset=dataset) for i in range(3)))
    assert weights(meta_train(history, config=brief)).isfinite().all()


@pytest.mark.parametrize("n_tasks", [1, 2, 5])
@pytest.mark.parametrize("n_trials", [2, 3])
def test_the_smallest_histories_do(
    space: Space, brief: Config, task_of: TaskOf, n_tasks: int, n_trials: int
) -> None:
    history = MetaDataset(space, tuple(task_of(i, n=n_trials) for i in range(n_tasks)))
    surrogate = meta_train(history, config=brief)
    assert weights(surrogate).isfinite().all()
    assert surrogate.network.dataset_encoder.n_features == N_FEATURES


@pytest.mark.parametrize("worst", [-1e9, -np.inf, 29.0])
def test_values_of_any_kind_are_survived(
    space: Space, brief: Config, task_of: TaskOf, worst: float
) -> None:
    y = np.full(30, 29.0) if worst > 0 else np.r_[worst, np.arange(29)]
    history = MetaDataset(space, (replace(task_of(0), y=y), task_of(1)))
    assert weights(meta_train(history, config=brief)).isfinite().all()


def test_the_best_weights_are_kept(plain: MetaDataset, config: Config) -> None:
    """The held-out loss falls twice, then rises: two evaluations later training ends."""
    heard: list[Tensor] = []
    scripted = iter([5.0, 4.0, 3.0, 3.5, 3.2, 0.0])

    def evaluate() -> float:
        heard.append(weights(surrogate))
        return next(scripted)

    config = replace(config, inner_steps=1, evaluate_every=1, patience=2, batch_size=16)
    surrogate = learning(plain.space, config)
    pairs = [Pairs.of(task) for task in plain.tasks]
    watched: list[tuple[int, float]] = []
    losses = reptile(
        surrogate,
        pairs,
        evaluate,
        np.random.default_rng(0),
        watch=lambda step, best: watched.append((step, best)),
    )
    assert torch.equal(weights(surrogate), heard[2])
    assert not torch.equal(heard[2], heard[-1])
    assert losses["outer steps"] == 4
    assert losses["held out before"] == 5.0
    assert losses["held out"] == 3.0
    assert watched == [(1, 4.0), (2, 3.0), (3, 3.0), (4, 3.0)]


def test_the_last_steps_count_too(plain: MetaDataset, config: Config) -> None:
    config = replace(config, outer_steps=4, evaluate_every=10)
    untrained = MetaSurrogate(plain.space, config)
    assert not torch.equal(weights(meta_train(plain, config=config)), weights(untrained))


def test_progress_is_shown_only_if_asked_for(
    plain: MetaDataset, brief: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    meta_train(plain, config=brief, progress=False)
    meta_train(plain, config=brief)  # not on a terminal
    assert capfd.readouterr() == ("", "")
    meta_train(plain, config=brief, progress=True)
    shown = capfd.readouterr().err
    assert "meta-training" in shown
    assert "loss=" in shown


def test_data_sets_of_different_width_are_refused(
    space: Space, brief: Config, task_of: TaskOf, dataset_of: DatasetOf
) -> None:
    wide = DatasetSample.from_features(np.zeros((4, 7)), [0, 0, 1, 1])
    tasks = (task_of(0, dataset=dataset_of(0, 1.0)), task_of(1), task_of(2, dataset=wide))
    with pytest.raises(HistoryError, match=r"'task 0': 5.*'task 2': 7"):
        meta_train(MetaDataset(space, tasks), config=brief)


def test_unknown_preset_is_refused(plain: MetaDataset) -> None:
    with pytest.raises(OptunaTNASError, match=r"'fast'.*default.*paper"):
        meta_train(plain, preset="fast")


def test_how_far_reports_agree_is_learned_and_kept(plain: MetaDataset, tmp_path: Path) -> None:
    def with_curves(task: Task) -> Task:
        return replace(
            task, curves=[Curve({1: y * (-1) ** i, 4: y}) for i, y in enumerate(task.y)]
        )

    history = replace(plain, tasks=tuple(map(with_curves, plain.tasks)))
    meta = meta_train(history, config=BRIEF, seed=0, progress=False)
    expected = Agreement.of((task.curves, task.y) for task in history.tasks)
    assert meta.agreement.state() == expected.state() != UNKNOWN.state()
    meta.save(tmp_path / "meta.pt")
    assert MetaSurrogate.load(tmp_path / "meta.pt").agreement.state() == expected.state()
    without = meta_train(plain, config=BRIEF, seed=0, progress=False)
    assert without.agreement.state() == UNKNOWN.state()
    assert torch.equal(weights(without), weights(meta))
