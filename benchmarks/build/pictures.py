"""Draw the pictures of docs/seeing_it.md.

python -m benchmarks.build.pictures

The search is one among the cells of the shipped history that were trained for one of its image
sets; its past are the others. The dashboard's picture needs Chromium or Chrome on the PATH.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import shutil
import subprocess
import tempfile
from threading import Thread
from wsgiref.simple_server import make_server
from wsgiref.simple_server import WSGIRequestHandler

import matplotlib
from matplotlib.axes import Axes
import numpy as np
import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.study import Study
from optuna.trial import Trial
from PIL import Image

from optuna_tnas import meta_train
from optuna_tnas import TNASSampler
from optuna_tnas.demo.shipped_history import shipped_history
from optuna_tnas.spaces import CellSpace
from optuna_tnas.spaces import SomeOf
from optuna_tnas.spaces.cell import Node
from optuna_tnas.studies.history import Task
from optuna_tnas.visualization import DashboardCallback
from optuna_tnas.visualization import matplotlib as plots


RESULTS = Path(__file__).parents[1] / "results"
_COLORS, _DPI = 48, 90
_WINDOW = (1400, 2000)  # pixels of the dashboard's page


# --- the search -----------------------------------------------------------------------------


def search(target: str, n_trials: int, folder: Path) -> tuple[TNASSampler, Study]:
    """Search one image set's cells, with the others as the past; keep the dashboard's page."""
    history = shipped_history()
    task = next(task for task in history.tasks if task.name == target)
    surrogate = meta_train(history.without(target), seed=0)
    sampler = TNASSampler(surrogate.restricted_to(task.X), dataset=task.dataset, seed=0)
    study = optuna.create_study(
        storage=f"sqlite:///{folder}/s.db",
        study_name=target,
        sampler=sampler,
        direction="maximize",
    )
    callback = DashboardCallback(sampler, FileSystemArtifactStore(folder), every=n_trials)
    study.optimize(_objective(task, sampler), n_trials=n_trials, callbacks=[callback])
    return sampler, study


def _objective(task: Task, sampler: TNASSampler) -> Callable[[Trial], float]:
    """Look the value up that the history has of a cell, negative log loss."""
    values = {tuple(row): float(value) for row, value in zip(task.X, task.y, strict=True)}
    space = sampler.space
    return lambda trial: values[tuple(space.encode(space.suggest(trial)))]


# --- the pictures ---------------------------------------------------------------------------


def draw(sampler: TNASSampler, study: Study, folder: Path) -> None:
    """Write every plot."""
    matplotlib.use("Agg")
    _save(plots.plot_architecture(sampler.space, study.best_params), folder, "architecture")
    _save(plots.plot_architecture(*large_architecture()), folder, "large")
    _save(plots.plot_sources(study, sampler), folder, "sources")
    _save(plots.plot_prediction(study, sampler), folder, "prediction")
    _save(plots.plot_parallel_architectures(study, sampler.space), folder, "parallel")
    _save(plots.plot_similarity(sampler), folder, "similarity")


def large_architecture() -> tuple[CellSpace, dict[str, object]]:
    """A random cell of 30 operations, each of which reads two."""
    ops, names = ["conv_3x3", "dil_conv_5x5", "pool", "skip"], [f"n{i}" for i in range(30)]
    nodes = [Node(names[0], ops)]
    nodes += [
        Node(name, ops, [SomeOf(2, "input", *names[:i])]) for i, name in enumerate(names) if i
    ]
    space = CellSpace(nodes)
    return space, space.decode(space.sample(1, np.random.default_rng(1))[0])


def _save(axes: Axes, folder: Path, name: str) -> None:
    path = folder / f"seeing_{name}.png"
    axes.figure.savefig(path, dpi=_DPI)
    _reduce(path)


def _reduce(path: Path, size: tuple[int, int] | None = None) -> None:
    """Keep few colors, and perhaps fewer pixels."""
    image = Image.open(path).convert("RGB")
    if size is not None:
        image = image.resize(size, Image.Resampling.LANCZOS)
    image.quantize(_COLORS).save(path, optimize=True)


# --- the dashboard --------------------------------------------------------------------------


def photograph(folder: Path, path: Path, browser: str) -> None:
    """Take a picture of the study's page."""
    with _served(folder) as url, tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"]
        size = f"--window-size={_WINDOW[0]},{_WINDOW[1]}"
        where = [f"--user-data-dir={profile}", f"--screenshot={path}"]
        page = f"{url}/dashboard/studies/1"
        subprocess.run([browser, *options, size, *where, page], check=True, capture_output=True)
    _reduce(path, (_WINDOW[0] // 2, _WINDOW[1] // 2))


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    from optuna_dashboard import wsgi

    app = wsgi(f"sqlite:///{folder}/s.db", artifact_store=FileSystemArtifactStore(folder))
    server = make_server("127.0.0.1", 0, app, handler_class=_Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the pictures")
    parser.add_argument("--target", default="fashion_mnist", help="image set to search on")
    parser.add_argument("--trials", type=int, default=30)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(*search(a.target, a.trials, folder), a.out)
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            print("No Chromium or Chrome: the dashboard's picture is left as it is.")
        else:
            photograph(folder, a.out / "seeing_dashboard.png", browser)
    for path in sorted(a.out.glob("seeing_*.png")):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
