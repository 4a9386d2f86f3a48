"""PyTorch DDP: two processes train each network together, and the first one asks the sampler.

Needs the extra ``integrations``. Run it as ``python examples/distributed_data_parallel.py``; on
several machines, start :func:`work` by ``torchrun`` instead.
"""

from __future__ import annotations

from pathlib import Path
import tempfile

import optuna
from optuna_integration import TorchDistributedTrial
from sklearn.datasets import load_digits
import torch
from torch import nn
import torch.distributed
from torch.nn.parallel import DistributedDataParallel

from optuna_tnas import TNASSampler
from optuna_tnas.spaces import Space


N_PROCESSES, N_TRIALS, N_STEPS = 2, 6, 30


def build(trial: optuna.trial.BaseTrial) -> list[str]:
    """Ask for a network: one to three layers, each with a width."""
    depth = trial.suggest_int("depth", 1, 3)
    return [f"{trial.suggest_int(f'width_{i}', 8, 32, step=8)}" for i in range(depth)]


SPACE = Space.from_define_by_run(build)


def network(widths: list[str]) -> nn.Sequential:
    """Make the network that the choices describe."""
    layers: list[nn.Module] = []
    for before, width in zip(["64", *widths], widths, strict=False):
        layers += [nn.Linear(int(before), int(width)), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(int(widths[-1]), 10))


def objective(single: optuna.Trial | None) -> float:
    """Train in all processes at once; ``single`` is None in all but the first."""
    torch.set_num_threads(1)  # of each process
    trial = TorchDistributedTrial(single)
    torch.manual_seed(0)
    model = DistributedDataParallel(network(build(trial)))
    rate = trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True)
    optimizer = torch.optim.Adam(model.parameters(), rate)
    images, labels = (torch.as_tensor(x) for x in load_digits(return_X_y=True))
    images = images.float() / 16
    mine = slice(torch.distributed.get_rank(), 1200, N_PROCESSES)  # of the training images
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[mine]), labels[mine]).backward()
        optimizer.step()
    with torch.no_grad():
        right = model(images[1200:]).argmax(1) == labels[1200:]
    return float(right.float().mean())


def work(rank: int, rendezvous: str, storage: str) -> None:
    """Run one process: the first one has the study, the others follow."""
    torch.distributed.init_process_group(
        "gloo", init_method=rendezvous, rank=rank, world_size=N_PROCESSES
    )
    if rank == 0:
        sampler = TNASSampler(space=SPACE, seed=0)
        study = optuna.create_study(
            storage=storage, study_name="ddp", direction="maximize", sampler=sampler
        )
        study.optimize(objective, n_trials=N_TRIALS)
    else:
        for _ in range(N_TRIALS):
            objective(None)
    torch.distributed.destroy_process_group()


def main(folder: str) -> optuna.Study:
    """Start the processes and wait for them."""
    storage = f"sqlite:///{folder}/study.db"
    rendezvous = (Path(folder) / "rendezvous").as_uri()
    torch.multiprocessing.spawn(work, (rendezvous, storage), nprocs=N_PROCESSES)
    return optuna.load_study(storage=storage, study_name="ddp")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(main(temporary).best_trial.params)
