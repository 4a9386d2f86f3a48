"""The command line: ``optuna-tnas demo | meta-train | tune | evaluate | inspect``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
import json
import logging
from pathlib import Path
import sys
from typing import Any
from typing import TYPE_CHECKING

import optuna

from optuna_tnas.errors import OptunaTNASError
from optuna_tnas.files import check_writable


if TYPE_CHECKING:
    from optuna_tnas.evaluation.summary import Summary
    from optuna_tnas.studies.history import MetaDataset


_SPACE_NAMES = "nasbench201, mobilenetv3, or your own, mypackage.search:space"
_MAX_SEED = 2**31 - 1  # searches count on from it, and numpy's RandomState takes 32 bits


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Command-line arguments, ``sys.argv[1:]`` unless given.

    Returns:
        Exit status: 0, 2 for an error of the user's, 130 for Ctrl-C.
    """
    a = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return int(a.command(a) or 0)
    except OptunaTNASError as error:
        print(f"optuna-tnas: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"\noptuna-tnas: stopped. {stop}".rstrip(), file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="optuna-tnas", description=__doc__)
    parser.add_argument("--version", action="version", version=version("optuna-tnas"))
    commands = parser.add_subparsers(required=True, metavar="command")
    for add in (_add_demo, _add_meta_train, _add_tune, _add_evaluate, _add_inspect):
        add(commands)
    return parser


def _add_demo(commands: Any) -> None:
    demo = _add(commands, "demo", _demo, "search cells for an image set, for real")
    demo.add_argument(
        "--dataset",
        help="folder with a sub-folder of images for each class, maybe within train/ and test/; "
        "or an .npz with images, labels and maybe split (default: scikit-learn's digits)",
    )
    demo.add_argument("--trials", type=_count, default=15, help="trials of each search")
    demo.add_argument("--random-trials", type=_count, help="of random search, if not as many")
    demo.add_argument("--seeds", type=_count, default=3, help="searches of each sampler")
    demo.add_argument(
        "--hyperparameters",
        action="store_true",
        help="search learning rate, weight decay and width beside the cell",
    )
    _add_history(demo, spaces=("nasbench201",))
    demo.add_argument(
        "--storage",
        default="sqlite:///optuna-tnas-demo.db",
        help="Optuna storage of the demo's own searches",
    )


def _add_meta_train(commands: Any) -> None:
    train = _add(commands, "meta-train", _meta_train, "learn a checkpoint from past studies")
    _add_history(train, required=True, alias="--storage")
    sizes = train.add_mutually_exclusive_group()
    sizes.add_argument("--preset", default="default", help="default or paper")
    sizes.add_argument("--config", help="sizes and rates as a JSON file, such as tune writes")
    train.add_argument("--out", default="meta.pt", help="checkpoint to write")


def _add_tune(commands: Any) -> None:
    tune = _add(commands, "tune", _tune, "choose sizes and rates for meta-train by BOHB")
    _add_history(tune)
    tune.add_argument("--trials", type=_count, default=20, help="trials, earlier runs' included")
    tune.add_argument(
        "--storage",
        default="sqlite:///optuna-tnas-tune.db",
        help="Optuna storage of the tuning itself",
    )
    tune.add_argument("--out", default="config.json", help="config to write")


def _add_evaluate(commands: Any) -> None:
    evaluate = _add(commands, "evaluate", _evaluate, "would transfer have helped past studies?")
    _add_history(evaluate, alias="--storage")
    evaluate.add_argument("--preset", default="default", help="default or paper")
    evaluate.add_argument("--seeds", type=_count, default=1, help="meta-trainings per study")
    evaluate.add_argument("--trials", type=_count, default=20, help="trials of each search")
    evaluate.add_argument("--jobs", type=_count, default=2, help="processes, a thread each")
    evaluate.add_argument("--out", default="evaluation.jsonl", help="file, continued if it exists")
    evaluate.add_argument("--picture", default="evaluation.png", help="plot to write")


def _add_inspect(commands: Any) -> None:
    inspect = _add(commands, "inspect", _inspect, "print what a checkpoint holds")
    inspect.add_argument("checkpoint", help="path, or name of a shipped checkpoint")
    inspect.add_argument("--space", help="its search space, if that is code of your own")


def _add(commands: Any, name: str, function: Any, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(command=function)
    command.add_argument("--json", action="store_true", help="print JSON")
    if name != "inspect":
        command.add_argument("--seed", type=_seed, default=0, help="random seed")
    return command


def _add_history(
    command: argparse.ArgumentParser,
    *,
    required: bool = False,
    alias: str | None = None,
    spaces: Sequence[str] | None = None,
) -> None:
    """Add the options that name past studies; an alias works, but the help does not show it."""
    unless = "" if required else "; the shipped ones unless given"
    names = command.add_mutually_exclusive_group(required=required)
    names.add_argument("--history", help=f"Optuna storage of past studies{unless}")
    if alias is not None:
        names.add_argument(alias, dest="history", help=argparse.SUPPRESS)
    command.add_argument(
        "--space",
        choices=spaces,
        default="nasbench201",
        help="their search space" + ("" if spaces else f": {_SPACE_NAMES}"),
    )
    command.add_argument("--artifacts", help="folder of the artifact store with data set samples")


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


def _seed(text: str) -> int:
    if not 0 <= (number := int(text)) <= _MAX_SEED:
        raise argparse.ArgumentTypeError(f"{number} is not from 0 to {_MAX_SEED}")
    return number


def _demo(a: argparse.Namespace) -> None:
    import torch

    from optuna_tnas.demo import image_sets
    from optuna_tnas.demo.demo import Demo
    from optuna_tnas.demo.demo import table

    torch.set_num_threads(1)  # more threads only wait for each other in networks this small
    data = image_sets.load(a.dataset) if a.dataset else image_sets.digits()
    demo = Demo(
        a.storage,
        a.trials,
        a.seeds,
        a.seed,
        data=data,
        n_random_trials=a.random_trials,
        history=_history(a),
        hyperparameters=a.hyperparameters,
    )
    with redirect_stdout(sys.stderr if a.json else sys.stdout):  # JSON stands alone
        rows = demo.run()
    if a.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print(f"\n{table(rows)}\n\nSee every trial:  optuna-dashboard {a.storage}")


def _meta_train(a: argparse.Namespace) -> None:
    from optuna_tnas.config import Config
    from optuna_tnas.meta.training import meta_train

    check_writable(a.out, "--out")
    config = Config.load(a.config) if a.config else Config.preset(a.preset)
    meta = meta_train(_history(a), config=config, seed=a.seed)
    meta.save(a.out)
    _print({"checkpoint": a.out, **meta.provenance}, a.json)


def _history(a: argparse.Namespace) -> MetaDataset:
    """Read the past studies that were named, or else those that the package ships."""
    from optuna.artifacts import FileSystemArtifactStore

    from optuna_tnas.demo.shipped_history import shipped_history
    from optuna_tnas.spaces.named import space_named
    from optuna_tnas.studies.history import MetaDataset

    if a.history is None:
        if a.artifacts or a.space != "nasbench201":
            raise OptunaTNASError(
                "--space and --artifacts describe past studies, whose storage is missing; give it."
            )
        return shipped_history()
    artifacts = FileSystemArtifactStore(a.artifacts) if a.artifacts else None
    return MetaDataset.from_storage(a.history, space_named(a.space), artifact_store=artifacts)


def _tune(a: argparse.Namespace) -> None:
    from optuna_tnas.meta.tuning import table
    from optuna_tnas.meta.tuning import Tuning

    check_writable(a.out, "--out")
    history = _history(a)
    if len(history.hyperparameters):
        print(
            "The sizes and rates are those of encoders that read architectures: the past's "
            f"hyper-parameters {history.hyperparameters.names} count as noise.",
            file=sys.stderr,
        )
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
    print(f"\n{table(rows)}\n\nUse them:  optuna-tnas meta-train --config {a.out} --history URL")


def _evaluate(a: argparse.Namespace) -> int:
    from optuna_tnas.evaluation.leave_one_out import Evaluation
    from optuna_tnas.evaluation.summary import Summary

    check_writable(a.picture, "--picture")
    evaluation = Evaluation(
        _history(a),
        Path(a.out),
        preset=a.preset,
        n_trials=a.trials,
        seeds=range(a.seed, a.seed + a.seeds),
    )
    try:
        evaluation.run(a.jobs)
    except KeyboardInterrupt:
        print(
            f"\nInterrupted with {evaluation.n_missing} outcomes missing. The others are in "
            f"{a.out}; the same command goes on.",
            file=sys.stderr,
        )
    if evaluation.outcomes:
        _print_summary(Summary.of(evaluation.outcomes, a.trials, evaluation.fronts), a)
    return 130 if evaluation.n_missing else 0


def _print_summary(summary: Summary, a: argparse.Namespace) -> None:
    if a.json:
        print(json.dumps({"summary": summary.sentences(), **asdict(summary)}, indent=2))
    else:
        print(f"\n{summary.tables()}\n\n{summary.sentences()}")
    if find_spec("matplotlib") is None:
        note = f'For {a.picture}: pip install "optuna-tnas[plot]", then the same command.'
        print(note, file=sys.stderr)
        return
    from optuna_tnas.evaluation.plot import draw

    draw(summary, a.picture)
    print(f"Drawn: {a.picture}", file=sys.stderr)


def _inspect(a: argparse.Namespace) -> None:
    from optuna_tnas.spaces.named import space_named
    from optuna_tnas.surrogate.meta_surrogate import MetaSurrogate

    space = space_named(a.space) if a.space else None
    _print(MetaSurrogate.load(a.checkpoint, space).summary(), a.json)


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
