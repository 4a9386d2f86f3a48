"""The command line, run in-process; what it prints and what it says of bad input."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
import optuna
import pytest

from optuna_tnas import Config
from optuna_tnas import MetaSurrogate
from optuna_tnas.cli import main
from optuna_tnas.demo import demo
from optuna_tnas.meta import tuning
from optuna_tnas.spaces import NASBench201Space
from optuna_tnas.spaces.named import space_named
from tests.small_config import BRIEF
from tests.small_config import SMALL
from tests.sqlite import is_made


SPACE = NASBench201Space()
PRESET = replace(BRIEF, architecture_hidden=16)  # the least that is tuned


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """Two past studies of ten cells, one of them of another space."""
    return _past(f"sqlite:///{tmp_path}/history.db", 10)


@pytest.fixture
def brief_storage(tmp_path: Path) -> str:
    """The same, but of three cells."""
    return _past(f"sqlite:///{tmp_path}/brief.db", 3)


def _past(url: str, n: int) -> str:
    for name, factor in (("a", 1.0), ("b", 2.0)):
        study = optuna.create_study(storage=url, study_name=name, direction="maximize")
        for row in SPACE.sample(n, np.random.default_rng(0)):
            params = SPACE.decode(row)
            study.add_trial(
                optuna.create_trial(
                    params=params,
                    distributions=dict(SPACE.distributions()),
                    value=factor * float((row == 3).sum()),
                )
            )
    other = optuna.create_study(storage=url, study_name="other")
    other.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    return url


@pytest.fixture
def brief_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every preset is of few steps and of small networks."""
    monkeypatch.setattr(Config, "preset", classmethod(lambda cls, name: PRESET))


@pytest.fixture
def brief_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials of few steps."""
    monkeypatch.setattr(tuning, "BASE", replace(tuning.BASE, outer_steps=2))


def test_meta_train_writes_a_checkpoint_that_inspect_prints(
    storage: str,
    brief_presets: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "meta.pt"
    command = ["meta-train", "--history", storage, "--out", str(path), "--seed", "3", "--json"]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["tasks"] == {"a": 10, "b": 10}
    assert printed["left out"] == {"studies of other spaces": 1}
    assert printed["seed"] == 3
    assert MetaSurrogate.load(path).provenance["tasks"] == printed["tasks"]

    assert main(["inspect", str(path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["space"]["fingerprint"] == SPACE.fingerprint
    assert summary["provenance"]["trials"] == 20
    assert len(summary["warm start"]) > 0


def test_inspect_prints_text_for_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    MetaSurrogate(SPACE, Config(architecture_hidden=8)).save(tmp_path / "meta.pt")
    assert main(["inspect", str(tmp_path / "meta.pt")]) == 0
    printed = capsys.readouterr().out
    assert "fingerprint: " + SPACE.fingerprint in printed
    assert "lengthscale" in printed


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (["inspect", "no-such-file.pt"], "no-such-file.pt"),
        (["demo", "--dataset", "no-such-folder"], "no-such-folder does not exist"),
        (["meta-train", "--storage", "sqlite://"], "no study to learn from"),
        (["meta-train", "--storage", "sqlite://", "--config", "no-such.json"], "no-such.json"),
        (["tune", "--space", "mobilenetv3"], "storage is missing"),
        (["evaluate", "--artifacts", "folder"], "storage is missing"),
        (["tune", "--history", "sqlite://"], "no study to learn from"),
        (["evaluate", "--storage", "sqlite://"], "no study to learn from"),
        (["evaluate", "--out", "no-folder/e.jsonl", "--jobs", "1"], "no-folder/e.jsonl"),
        (["evaluate", "--picture", "no-folder/e.png"], "give another --picture"),
        (["meta-train", "--storage", "history.db"], "'history.db' is not the URL of a storage"),
        (["meta-train", "--history", "sqlite:////no/such/folder/h.db"], "does not exist"),
        (["meta-train", "--history", "sqlite:///typo.db"], "file typo.db does not exist"),
        (
            ["meta-train", "--history", "postgresql+psycopg2://u:pw@127.0.0.1:1/x"],
            "Connection refused",
        ),
        (["tune", "--trials", "1", "--storage", "tune.db"], "'tune.db' is not the URL"),
        (["tune", "--out", "no-folder/config.json"], "give another --out"),
        (["demo", "--storage", "demo.db"], "'demo.db' is not the URL of a storage"),
        (["demo", "--storage", "sqlite:////no/such/folder/d.db"], "cannot be opened"),
        (["meta-train", "--storage", "sqlite://", "--out", "no-folder/m.pt"], "no-folder/m.pt"),
    ],
)
def test_errors_are_one_line_and_status_2(
    command: list[str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("optuna-tnas: ") and text in captured.err
    assert captured.err.count("\n") == 1
    made = {path.name for path in tmp_path.iterdir()}
    assert made <= {"optuna-tnas-tune.db", "optuna-tnas-demo.db", "evaluation.jsonl"}


def test_the_demo_prints_json_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        demo, "meta_train", lambda history, **_: MetaSurrogate(history.space, SMALL)
    )
    images = np.random.default_rng(0).integers(0, 256, size=(20, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(20) // 10)
    command = ["demo", "--dataset", str(tmp_path / "mine.npz"), "--trials", "1", "--seeds", "1"]
    command += ["--random-trials", "2", "--storage", f"sqlite:///{tmp_path}/demo.db", "--json"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert [row["trials"] for row in json.loads(captured.out)] == [1, 2]
    assert "mine: 16 training and 4 held-out images" in captured.err


@pytest.mark.parametrize("option", ["--trials", "--random-trials", "--seeds"])
def test_the_demo_has_a_trial_at_least(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", option, "0"])
    assert ended.value.code == 2
    assert "0 is not 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "meta-train", "tune", "evaluate"])
@pytest.mark.parametrize("seed", ["-1", "4294967296"])
def test_impossible_seeds_are_refused(
    command: str, seed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--seed", seed])
    assert ended.value.code == 2
    assert f"{seed} is not from 0 to" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["meta-train", "evaluate"])
def test_the_alias_of_history_is_not_in_the_help(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    printed = capsys.readouterr().out
    assert "--history" in printed and "--storage" not in printed


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == version("optuna-tnas")


OWN_SPACES = """
from optuna_tnas.spaces import CellSpace, Node, Space

def build(trial):
    n = trial.suggest_int("n", 1, 9)
    return [f"conv{trial.suggest_int(f'width_{i}', 1, 9)}" for i in range(n)]

def cell():
    return CellSpace([Node("a", ["conv", "pool"]), Node("b", ["conv", "pool"], ["a"])])

class Spaces:
    code = Space.from_define_by_run(build, n_runs=50)
    nothing = 3
"""


@pytest.fixture
def own_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], list[str]]]:
    """A module of the user's in the working directory, and past studies of one of its spaces."""
    (tmp_path / "my_search.py").write_text(OWN_SPACES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def options(name: str) -> list[str]:
        space = space_named(name)
        url = f"sqlite:///{tmp_path}/own.db"
        for factor in (1.0, 2.0):
            study = optuna.create_study(
                storage=url, direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0)
            )
            study.optimize(lambda t: factor * len(space.suggest(t)), n_trials=8)  # noqa: B023
        return ["--history", url, "--space", name]

    yield options
    sys.modules.pop("my_search", None)


@pytest.mark.parametrize("name", ["my_search:cell", "my_search:Spaces.code"])
def test_own_spaces_are_named_by_where_they_are_imported_from(
    name: str,
    own_history: Callable[[str], list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Config(outer_steps=1, architecture_hidden=8).save("config.json")
    command = ["meta-train", *own_history(name), "--config", "config.json", "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 16
    assert main(["inspect", "meta.pt", "--json", "--space", name]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["space"]["fingerprint"] == space_named(name).fingerprint
    assert summary["warm start"]
    needs_code = name.endswith("code")
    assert main(["inspect", "meta.pt"]) == (2 if needs_code else 0)
    assert ("my_search:build" in capsys.readouterr().err) == needs_code


def test_own_spaces_are_evaluated_and_tuned(
    own_history: Callable[[str], list[str]], brief_presets: None, brief_tuning: None
) -> None:
    options = own_history("my_search:Spaces.code")
    assert main(["tune", *options, "--trials", "1"]) == 0
    assert Path("config.json").exists()
    assert main(["evaluate", *options, "--trials", "2", "--jobs", "1"]) == 0
    assert Path("evaluation.jsonl").read_text()


def test_hyperparameters_of_the_past_are_named_by_what_does_not_use_them(
    own_history: Callable[[str], list[str]],
    brief_tuning: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, *options = own_history("my_search:cell")[1:]
    space = space_named("my_search:cell")
    study = optuna.create_study(storage=url)
    study.optimize(lambda t: t.suggest_float("rate", 0, 1) * len(space.suggest(t)), n_trials=8)
    assert main(["tune", "--history", url, *options, "--trials", "1"]) == 0
    assert "hyper-parameters ['rate'] count as noise" in capsys.readouterr().err
    assert main(["evaluate", "--history", url, *options]) == 2
    assert "also searched ['rate']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nasbench101", "no space 'nasbench101'; the package has nasbench201, mobilenetv3"),
        ("no_such_module:space", "no module 'no_such_module'"),
        ("my_search.inner:space", "no module 'my_search.inner'"),
        ("my_search:typo", "has no 'typo'"),
        ("my_search:build", "Space.from_define_by_run(build)"),
        ("my_search:Spaces.nothing", "is a int, not a space"),
        ("broken:space", "'broken' cannot be imported: ZeroDivisionError"),
        (":space", "no module ''"),
    ],
)
def test_spaces_that_cannot_be_imported_are_named(
    name: str,
    told: str,
    own_history: Callable[[str], list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("broken.py").write_text("1 / 0")
    assert main(["meta-train", "--history", "sqlite://", "--space", name]) == 2
    assert told in capsys.readouterr().err


def test_a_foreign_space_is_named(storage: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["meta-train", "--storage", storage, "--space", "mobilenetv3"]) == 2
    assert "studies of other spaces" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [[], ["demo"], ["meta-train"], ["tune"], ["evaluate"], ["inspect"]]
)
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "--json" in capsys.readouterr().out or not command


def test_a_preset_and_a_config_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["meta-train", "--storage", "x", "--preset", "paper", "--config", "config.json"])
    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


_BRIEF_TUNING = """
from dataclasses import replace
import sys
from optuna_tnas.cli import main
from optuna_tnas.meta import tuning
tuning.BASE = replace(tuning.BASE, outer_steps=2)
sys.exit(main())
"""
_BRIEF_EVALUATION = f"""
import sys
from optuna_tnas import Config
from optuna_tnas.cli import main
Config.preset = lambda name: {PRESET}
sys.exit(main())
"""


def test_tune_is_interrupted_and_goes_on(
    brief_storage: str, brief_tuning: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C after the first trial; the same command goes on."""
    own, out = f"sqlite:///{tmp_path}/tune.db", tmp_path / "config.json"
    tune = ["tune", "--history", brief_storage, "--storage", own, "--out", str(out), "--json"]
    status, printed, said = _interrupted(
        [sys.executable, "-c", _BRIEF_TUNING, *tune, "--trials", "1000"], lambda: _finished(own)
    )
    assert status == 130
    assert printed == ""
    assert "Traceback" not in said
    assert said.endswith("of 1000 trials are kept; the same command goes on from there.\n")
    done = _finished(own)
    assert f" {len(done)} of 1000" in said
    assert Config.load(out).gp == "default"

    assert main([*tune, "--trials", str(len(done) + 1)]) == 0
    assert _finished(own)[: len(done)] == done
    assert len(_finished(own)) == len(done) + 1
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["best"]["loss"] <= rows["default"]["loss"] == done[0][1]
    assert Config.load(out).inner_rate == rows["best"]["values"]["inner_rate"]


def _interrupted(command: list[str], begun: Callable[[], object]) -> tuple[int, str, str]:
    """Ctrl-C once something is done: exit status, standard output and standard error."""
    process = subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores Ctrl-C, and its children do.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        until = time.monotonic() + 100
        while not begun() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return process.returncode, printed, said


def _finished(storage: str) -> list[tuple[dict[str, object], float]]:
    """Parameters and values of what is finished, in order; none before there is a study."""
    name = "optuna-tnas-tune"
    if not is_made(storage) or name not in optuna.get_all_study_names(storage):
        return []
    study = optuna.load_study(study_name=name, storage=storage)
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return [(t.params, t.value) for t in study.get_trials(states=states)]  # type: ignore[misc]


def test_tune_prints_a_table_and_meta_train_takes_the_config(
    brief_storage: str, brief_tuning: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, checkpoint_path = str(tmp_path / "config.json"), str(tmp_path / "meta.pt")
    own = f"sqlite:///{tmp_path}/tune.db"
    command = ["tune", "--history", brief_storage, "--storage", own, "--out", out]
    assert main([*command, "--trials", "1"]) == 0
    captured = capsys.readouterr()
    assert "| default | best |" in captured.out and "inner_rate" in captured.out
    assert "tuning" in captured.err

    assert main([*command, "--seed", "1"]) == 2
    refused = capsys.readouterr()
    assert "another --storage" in refused.err and refused.out == ""

    config = Config(architecture_hidden=8, outer_steps=2)
    config.save(out)
    train = ["meta-train", "--storage", brief_storage, "--config", out, "--out", checkpoint_path]
    assert main(train) == 0
    assert MetaSurrogate.load(checkpoint_path).config == config


def test_evaluate_is_interrupted_and_goes_on(
    storage: str, brief_presets: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C after the first study; the same command finishes, and draws what it prints."""
    out, picture = tmp_path / "e.jsonl", tmp_path / "e.png"
    evaluate = ["evaluate", "--storage", storage, "--trials", "2"]
    evaluate += ["--out", str(out), "--picture", str(picture), "--json"]
    status, printed, said = _interrupted(
        [sys.executable, "-c", _BRIEF_EVALUATION, *evaluate, "--seeds", "100"],
        lambda: out.exists() and out.read_text(),
    )
    assert status == 130
    assert "Traceback" not in said
    assert "the same command goes on" in said
    n_done = out.read_text().count("\n")
    assert n_done >= 1
    assert json.loads(printed)["targets"]

    assert main([*evaluate, "--seeds", "3", "--jobs", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [target["name"] for target in found["targets"]] == ["a", "b"]
    assert found["summary"].startswith("Transfer ")
    assert picture.read_bytes().startswith(b"\x89PNG")
