"""README and docs: their snippets run, their links resolve, their commands exist."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
import re
from typing import Any

import networkx as nx
import numpy as np
import optuna
import pytest

from optuna_tnas import cli
from optuna_tnas import Config
from optuna_tnas import meta_train
from optuna_tnas import MetaDataset
from optuna_tnas.spaces import NASBench201Space


ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

# The default, after fewer steps of meta-training.
QUICK = Config(outer_steps=2)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
_MODULE = re.compile(r"python -m (benchmarks[\w.]*)")
_COMMAND = re.compile(r"optuna-tnas (demo|meta-train|tune|evaluate|inspect)\b([^`\n]*)")
_MAPPED = re.compile(r"`((?:\w+/)*\w+(?:/|\.py))`")  # a file or folder of the package


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def snippets_of(page: Path) -> list[str]:
    """The page's Python snippets, in order."""
    return [code for language, code in _FENCE.findall(text_of(page)) if language == "python"]


def prose_of(page: Path) -> str:
    return _FENCE.sub("", text_of(page))


def anchors_of(page: Path) -> set[str]:
    """The page's headings as links name them."""
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.MULTILINE)
    kept = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in kept}


# --- snippets -------------------------------------------------------------------------------


def train_and_validate(graph: nx.DiGraph) -> float:
    """A stand-in for training: convolutions help, zero operations do not."""
    worth = {"nor_conv_3x3": 1.0, "nor_conv_1x1": 0.7, "skip_connect": 0.4, "avg_pool_3x3": 0.2}
    return sum(worth.get(op, 0.0) for _, op in graph.nodes(data="op"))


def write_history(storage: str, n_studies: int = 2, n_trials: int = 8) -> None:
    """Finished studies of NAS-Bench-201 cells."""
    space = NASBench201Space()
    for seed in range(n_studies):
        sampler = optuna.samplers.RandomSampler(seed=seed)
        study = optuna.create_study(storage=storage, direction="maximize", sampler=sampler)
        study.optimize(
            lambda trial: train_and_validate(space.to_graph(space.suggest(trial))),
            n_trials=n_trials,
        )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages take for granted: a history and a checkpoint from it."""
    folder = tmp_path_factory.mktemp("template")
    storage = f"sqlite:///{folder}/history.db"
    write_history(storage)
    history = MetaDataset.from_storage(storage, NASBench201Space())
    meta_train(history, config=QUICK).save(folder / "meta.pt")
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the template, as the working directory, where meta-training is quick."""
    for file in template.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "artifacts").mkdir()
    monkeypatch.setattr(Config, "preset", lambda name: QUICK)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.mark.parametrize("page", [p for p in PAGES if snippets_of(p)], ids=str)
def test_snippets_of_a_page_run_one_after_the_other(page: Path, folder: Path) -> None:
    rng = np.random.default_rng(0)
    given: dict[str, Any] = {
        "train_and_validate": train_and_validate,
        "images": rng.integers(0, 256, size=(60, 8, 8, 3), dtype=np.uint8),
        "labels": np.arange(60) % 3,
    }
    for number, code in enumerate(snippets_of(page)):
        exec(compile(code, f"{page.name}, snippet {number}", "exec"), given)


def test_readme_and_start_have_snippets() -> None:
    assert len(snippets_of(ROOT / "README.md")) >= 3
    assert len(snippets_of(ROOT / "docs" / "getting_started.md")) >= 3


# --- README ---------------------------------------------------------------------------------


def test_readme_has_at_most_10_kb() -> None:
    assert (ROOT / "README.md").stat().st_size <= 10_000


@pytest.mark.parametrize("end", ["optuna-tnas demo", "-m pytest -n 2"])
def test_readme_has_both_commands_each_on_one_line(end: str) -> None:
    blocks = [code for _, code in _FENCE.findall(text_of(ROOT / "README.md"))]
    found = [code for code in blocks if code.startswith("python3 -m venv") and end in code]
    assert len(found) == 1
    assert found[0].count("\n") == 1 and found[0].rstrip().endswith(end)


# --- what pages name ------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_relative_links_resolve(page: Path) -> None:
    for link in _LINK.findall(prose_of(page)):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_benchmarks_named_in_commands_exist(page: Path) -> None:
    missing = [name for name in _MODULE.findall(text_of(page)) if _missing(name)]
    assert not missing


def _missing(module: str) -> bool:
    """Looked up as files: importing them needs packages that are only for benchmarks."""
    path = ROOT.joinpath(*module.split("."))
    return not (path.with_suffix(".py").is_file() or (path / "__main__.py").is_file())


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_options_of_commands_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, rest in _COMMAND.findall(text_of(page)):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
        assert set(re.findall(r"--[\w-]+", rest)) <= known, command


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md"])
def test_map_of_the_code_names_what_is_there(name: str) -> None:
    named = [path for path in _MAPPED.findall(prose_of(ROOT / name)) if path != "optuna_tnas/"]
    missing = [path for path in named if not (ROOT / "optuna_tnas" / path).exists()]
    assert named and not missing


def test_faults_name_tests_that_exist() -> None:
    rows = [line for line in text_of(ROOT / "docs" / "faults.md").splitlines() if ".py`" in line]
    named = {path for row in rows for path in re.findall(r"`([\w/]+\.py)`", row)}
    assert len(named) > 5
    assert [path for path in named if not (ROOT / "tests" / path).is_file()] == []


def test_map_of_the_code_has_every_room() -> None:
    folders = {p.parent.name for p in (ROOT / "optuna_tnas").glob("*/__init__.py")}
    for name in ("README.md", "docs/architecture.md"):
        named = _MAPPED.findall(prose_of(ROOT / name))
        assert folders <= {path.partition("/")[0] for path in named}


# --- the site -------------------------------------------------------------------------------


@pytest.mark.skipif(find_spec("mkdocs") is None, reason='needs pip install -e ".[docs]"')
def test_links_out_of_docs_become_pictures_or_names() -> None:
    from types import SimpleNamespace

    hooks: dict[str, Any] = {}
    path = ROOT / "docs" / "hooks.py"
    exec(compile(text_of(path), str(path), "exec"), hooks)
    page = SimpleNamespace(file=SimpleNamespace(src_uri="reference/index.md"))
    redirect = hooks["on_page_markdown"]
    picture = "![a](../../benchmarks/results/demo.png)"
    assert redirect(picture, page) == "![a](../benchmarks/results/demo.png)"
    assert redirect("[the text](../../LICENSE)", page) == "the text (`LICENSE`)"
    assert redirect("[LICENSE](../../LICENSE)", page) == "`LICENSE`"
    assert redirect("[inside](../method.md#x)", page) == "[inside](../method.md#x)"
