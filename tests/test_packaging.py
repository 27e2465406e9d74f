"""What is installed, from where, and which room of the package may know which."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDED = [Requirement(text) for text in PROJECT["dependencies"]]
FOR_TESTS = [Requirement(text) for text in PROJECT["optional-dependencies"]["test"]]
CONDA_NAMES = {"torch": "pytorch-cpu", "playwright": "playwright-python"}

PACKAGE = ROOT / "lrsched_kit"
# Names and versions: pyproject.toml, constraints.txt, environment.yml


def bounds(requirements: list[Requirement]) -> dict[str, str]:
    return {requirement.name: str(requirement.specifier) for requirement in requirements}


def test_conda_users_get_the_same_packages_and_bounds() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge"]
    *packages, pip = environment["dependencies"]
    assert pip == {"pip": ["-e ."]}
    expected = {CONDA_NAMES.get(r.name, r.name): str(r.specifier) for r in NEEDED + FOR_TESTS}
    expected |= {"python": PROJECT["requires-python"], "pip": ""}
    assert bounds([Requirement(text) for text in packages]) == expected


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.mark.parametrize("requirement", NEEDED + FOR_TESTS, ids=str)
def test_every_dependency_is_pinned_within_its_bound(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pinned()[canonicalize_name(requirement.name)])


def test_pins_are_plain_versions() -> None:
    # A "+cpu" or a path would install on one kind of machine only.
    assert [v for v in pinned().values() if not re.fullmatch(r"\d+(\.\d+)*(\.post\d+)?", v)] == []


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_the_data_travels_with_the_package() -> None:
    for name in ("py.typed", "tasks/digits.npz"):
        assert (PACKAGE / name).is_file()
        # The wheel leaves out what git ignores.
        assert git("check-ignore", "--no-index", f"lrsched_kit/{name}").returncode == 1


def test_no_file_names_a_folder_of_one_machine() -> None:
    # Such a path creeps in with the stored output of a notebook, in a warning or a traceback.
    path = re.compile(rb"(?<![\w+/])/(?:work|tmp|root|opt|home)/\w+")
    tracked = [ROOT / name for name in git("ls-files").stdout.splitlines()]
    texts = {file.name: file.read_bytes() for file in tracked if file.is_file()}
    assert {name: path.findall(text) for name, text in texts.items() if path.search(text)} == {}


# The Makefile says in one sentence what is missing


def make_lab(folder: Path, python: str, **environment: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    # Under `make test`, the outer make's flags must not reach the inner one.
    outer = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return subprocess.run(
        ["make", "lab", f"PYTHON={python}"],
        cwd=folder,
        env=outer | environment,
        capture_output=True,
        text=True,
    )


def test_make_says_that_python_is_missing(tmp_path: Path) -> None:
    done = make_lab(tmp_path, "no-such-python")
    assert done.returncode != 0
    message = done.stderr.splitlines()[0]
    assert message.startswith("Python 3.11 or newer is needed")
    assert PROJECT["requires-python"] == ">=3.11"
    assert "no-such-python" in message


def test_make_says_that_venv_is_missing(tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ImportError", encoding="utf-8")
    done = make_lab(tmp_path, sys.executable, PYTHONPATH=str(tmp_path))
    assert done.returncode != 0
    assert "apt install python3-venv" in done.stderr.splitlines()[0]
    assert not (tmp_path / ".venv").exists()
