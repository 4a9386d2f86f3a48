"""What would be released: built, checked, installed as a wheel, used without a network."""

from __future__ import annotations

from pathlib import Path
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv

import pytest
import yaml

import optuna_tnas


ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

SEARCH = """
import sys

def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise OSError(f"the network was asked for: {args}")

sys.addaudithook(refuse)
import optuna
import optuna_tnas
from optuna_tnas import TNASSampler

assert optuna_tnas.__file__.startswith(sys.prefix), optuna_tnas.__file__
for name in ("nasbench201", "mobilenetv3"):
    sampler = TNASSampler.load(name, seed=0)
    study = optuna.create_study(storage=f"sqlite:///{name}.db", sampler=sampler)
    study.optimize(lambda trial: float(len(sampler.space.suggest(trial))), n_trials=3)
print(optuna_tnas.__version__)
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run outside of the repository; an error shows what was printed."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheel, built from the source distribution, and the latter."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "optuna_tnas", source / "optuna_tnas", ignore=ignored)
    shutil.copytree(ROOT / "tests", source / "tests", ignore=ignored)
    run(sys.executable, "-m", "build", "--no-isolation", cwd=source)
    return sorted((source / "dist").iterdir())


def test_the_distributions_are_valid(distributions: list[Path]) -> None:
    assert [path.suffix for path in distributions] == [".whl", ".gz"]
    run(sys.executable, "-m", "twine", "check", "--strict", *distributions, cwd=ROOT)


def test_the_source_distribution_holds_the_whole_package_and_no_part_of_the_tests(
    distributions: list[Path],
) -> None:
    with tarfile.open(distributions[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    files = (p for p in (ROOT / "optuna_tnas").rglob("*") if p.is_file())
    package = {str(p.relative_to(ROOT).as_posix()) for p in files if p.suffix != ".pyc"}
    assert package <= names
    assert not any(name.startswith(("tests", "benchmarks")) for name in names)


def test_the_wheel_alone_is_enough_and_needs_no_network(
    distributions: list[Path], tmp_path: Path
) -> None:
    """In a fresh environment; the dependencies are those of this one."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    home = {"base": str(tmp_path / "env"), "platbase": str(tmp_path / "env")}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=home))
    dependencies = [path for path in sys.path if path.endswith("-packages")]
    (packages / "dependencies.pth").write_text("\n".join(dependencies), encoding="utf-8")
    scripts = Path(sysconfig.get_path("scripts", "venv", vars=home))
    python, command = scripts / "python", scripts / "optuna-tnas"
    pip = ("-m", "pip", "--python", python, "install", "--no-index", "--no-deps")
    run(sys.executable, *pip, "--ignore-installed", distributions[0], cwd=tmp_path)
    versions = {
        run(python, "-I", "-c", SEARCH, cwd=tmp_path).strip(),
        run(command, "--version", cwd=tmp_path).strip(),
    }
    assert versions == {PROJECT["version"]}
    assert "size: 15625" in run(command, "inspect", "nasbench201", cwd=tmp_path)


def test_the_version_is_written_in_one_place() -> None:
    wheel = re.compile(re.escape(f'"{PROJECT["version"]}"'))
    sources = [ROOT / "pyproject.toml", *(ROOT / "optuna_tnas").rglob("*.py")]
    found = [p.name for p in sources if wheel.search(p.read_text(encoding="utf-8"))]
    assert found == ["pyproject.toml"]
    assert optuna_tnas.__version__ == PROJECT["version"]


def test_every_dependency_has_a_lowest_version() -> None:
    lines = run(sys.executable, ROOT / ".ci" / "minimum.py", "torch", cwd=ROOT).split()
    assert len(lines) == len(PROJECT["dependencies"]) - 1
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines)


# --- the workflows --------------------------------------------------------------------------


def steps(workflow: str) -> list[str]:
    """The commands of all jobs."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text("utf-8"))["jobs"]
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


def test_workflows_and_ci_test_what_is_there() -> None:
    """A renamed test would be tested no longer, or break the workflow unseen."""
    commands = [*steps("tests.yml"), *(ROOT / ".ci" / "run").read_text("utf-8").splitlines()]
    named = {path for line in commands for path in re.findall(r"(?<= )tests/[\w/.]+", line)}
    assert {"tests/surrogate", "tests/test_storages.py"} <= named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_a_release_builds_and_checks_as_these_tests_do() -> None:
    assert {"python -m build", "python -m twine check --strict dist/*"} <= {*steps("release.yml")}
