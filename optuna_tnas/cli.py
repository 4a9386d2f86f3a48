"""The command line: ``optuna-tnas demo | meta-train | tune | inspect``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
import json
import logging
import sys
from typing import Any
from typing import TYPE_CHECKING

import optuna

from optuna_tnas.errors import OptunaTNASError


if TYPE_CHECKING:
    from optuna_tnas.meta.history import MetaDataset


SPACES = ("nasbench201", "mobilenetv3")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status (2 for an error of the user's, 130 for Ctrl-C)."""
    a = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        a.command(a)
    except OptunaTNASError as error:
        print(f"optuna-tnas: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"\noptuna-tnas: stopped. {stop}".rstrip(), file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="optuna-tnas", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    demo = _add(commands, "demo", _demo, "search cells for scikit-learn's digits, for real")
    demo.add_argument("--trials", type=int, default=15, help="trials of each search")
    demo.add_argument("--seeds", type=int, default=3, help="searches of each sampler")
    demo.add_argument("--storage", default="sqlite:///optuna-tnas-demo.db", help="Optuna storage")
    train = _add(commands, "meta-train", _meta_train, "learn a checkpoint from past studies")
    train.add_argument("--storage", required=True, help="Optuna storage of the past studies")
    train.add_argument("--space", choices=SPACES, default="nasbench201", help="their search space")
    train.add_argument("--artifacts", help="folder of the artifact store with data set samples")
    sizes = train.add_mutually_exclusive_group()
    sizes.add_argument("--preset", default="default", help="default or paper")
    sizes.add_argument("--config", help="sizes and rates as a JSON file, such as tune writes")
    train.add_argument("--out", default="meta.pt", help="checkpoint to write")
    tune = _add(commands, "tune", _tune, "choose sizes and rates for meta-train by BOHB")
    tune.add_argument("--history", help="Optuna storage of past studies, not the shipped ones")
    tune.add_argument("--space", choices=SPACES, default="nasbench201", help="their search space")
    tune.add_argument("--artifacts", help="folder of the artifact store with data set samples")
    tune.add_argument("--trials", type=int, default=20, help="trials, earlier runs' included")
    tune.add_argument(
        "--storage",
        default="sqlite:///optuna-tnas-tune.db",
        help="Optuna storage",
    )
    tune.add_argument("--out", default="config.json", help="config to write")
    inspect = _add(commands, "inspect", _inspect, "print what a checkpoint holds")
    inspect.add_argument("checkpoint", help="path, or name of a shipped checkpoint")
    return parser


def _add(commands: Any, name: str, function: Any, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(command=function)
    command.add_argument("--json", action="store_true", help="print JSON")
    if name != "inspect":
        command.add_argument("--seed", type=int, default=0, help="random seed")
    return command


def _demo(a: argparse.Namespace) -> None:
    import torch

    from optuna_tnas.demo import Demo
    from optuna_tnas.demo import table

    torch.set_num_threads(1)  # more threads only wait for each other in networks this small
    rows = Demo(a.storage, a.trials, a.seeds, a.seed).run()
    if a.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print(f"\n{table(rows)}\n\nSee every trial:  optuna-dashboard {a.storage}")


def _meta_train(a: argparse.Namespace) -> None:
    from optuna_tnas.config import Config
    from optuna_tnas.meta.training import meta_train

    config = Config.load(a.config) if a.config else Config.preset(a.preset)
    meta = meta_train(_history(a.storage, a.space, a.artifacts), config=config, seed=a.seed)
    meta.save(a.out)
    _print({"checkpoint": a.out, **meta.provenance}, a.json)


def _history(storage: str, space: str, artifacts: str | None) -> MetaDataset:
    from optuna.artifacts import FileSystemArtifactStore

    from optuna_tnas.meta.history import MetaDataset
    from optuna_tnas.spaces import MobileNetV3Space
    from optuna_tnas.spaces import NASBench201Space

    declared = NASBench201Space() if space == "nasbench201" else MobileNetV3Space()
    store = FileSystemArtifactStore(artifacts) if artifacts else None
    return MetaDataset.from_storage(storage, declared, artifact_store=store)


def _tune(a: argparse.Namespace) -> None:
    from optuna_tnas.meta.shipped import shipped_history
    from optuna_tnas.meta.tuning import table
    from optuna_tnas.meta.tuning import Tuning

    if a.trials < 1:
        raise OptunaTNASError(f"--trials {a.trials} leaves nothing to choose from; give more.")
    if a.history is None and (a.artifacts or a.space != "nasbench201"):
        raise OptunaTNASError("--space and --artifacts describe a --history; give it too.")
    history = _history(a.history, a.space, a.artifacts) if a.history else shipped_history()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # Ctrl-C is no failure worth a traceback
    tuning = Tuning(history, a.storage, a.seed)
    try:
        tuning.run(a.trials, progress=True)
    except KeyboardInterrupt:
        kept = f"{tuning.finished} of {a.trials} trials are kept"
        raise KeyboardInterrupt(f"{kept}; the same command goes on from there.") from None
    finally:
        best = tuning.best()
        if best is not None:
            best.save(a.out)
            print(f"The best sizes and rates so far are in {a.out}.", file=sys.stderr)
    rows = tuning.rows()
    if a.json:
        print(json.dumps({"config": a.out, "rows": [asdict(row) for row in rows]}, indent=2))
        return
    print(f"\n{table(rows)}\n\nUse them:  optuna-tnas meta-train --config {a.out} --storage URL")


def _inspect(a: argparse.Namespace) -> None:
    from optuna_tnas import checkpoint

    _print(checkpoint.load(a.checkpoint).summary(), a.json)


def _print(data: Any, as_json: bool) -> None:
    if as_json:
        print(json.dumps(data, indent=2))
        return
    for key, value in data.items():
        print(f"{key}: {_lines(value)}")


def _lines(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"\n  {key}: {inner}" for key, inner in value.items())
    if isinstance(value, list):
        return "".join(f"\n  {inner}" for inner in value)
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
