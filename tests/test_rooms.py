"""The rooms of the package: their names, their sizes, and that imports point one way."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "lrsched_kit"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}

# From the ground floor up: a room imports from the rooms before it only.
ROOMS = ["words", "schedules", "tasks", "training", "plotting", "experiments", "museum", "labs"]
NEIGHBOURS = [{"schedules", "tasks"}, {"experiments", "museum"}]  # they share a floor


def room(module: str) -> str:
    """ "labs" for "lrsched_kit.labs.base"; the package's own name for what lies beside rooms."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else parts[0]


@cache
def imported(module: str) -> frozenset[str]:
    """The modules that a module imports, when it is read or later; but for types only."""
    path = MODULES[module]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            node.body = []
    here = path.relative_to(ROOT).parts[:-1]
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            folder = here[: len(here) - node.level + 1] if node.level else ()
            source = ".".join([*folder, *filter(None, [node.module])])
            parts = {f"{source}.{alias.name}" for alias in node.names}
            names |= (parts & MODULES.keys()) or {source}
    return frozenset(names)


def test_there_are_few_rooms_and_each_has_a_name_to_remember() -> None:
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert entries == {"__init__.py", "__main__.py", "py.typed", *ROOMS}
    assert len(entries) <= 12


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_file_is_read_in_one_sitting(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_one_way(module: str) -> None:
    reached = {room(name) for name in imported(module) if name in MODULES} - {room(module)}
    if room(module) == "lrsched_kit":
        return  # the face and the command line see all
    below = set(ROOMS[: ROOMS.index(room(module))])
    for floor in NEIGHBOURS:
        if room(module) in floor:
            below -= floor
    assert reached <= below


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_imports_itself_through_others(module: str) -> None:
    found: set[str] = set()
    waiting = set(imported(module) & MODULES.keys())
    while waiting:
        found |= waiting
        waiting = {n for name in waiting for n in imported(name) & MODULES.keys()} - found
    assert module not in found


def test_the_readme_draws_the_house_as_it_is() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    drawn = re.search(r"```\nlrsched_kit/\n(.*?)```", text, re.DOTALL)
    assert drawn is not None
    names = re.findall(r"^  ([\w.]+)/? ", drawn[1], re.MULTILINE)
    assert [name for name in names if name in ROOMS] == ROOMS
    assert set(names) == {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    files = {path.stem for path in MODULES.values()}
    listed = re.findall(r"\b[a-z_]+(?=\.py)", drawn[1])
    assert [name for name in listed if name not in files] == []


def test_importing_the_kit_loads_neither_widgets_nor_pyplot() -> None:
    code = "import sys, lrsched_kit; print({'ipywidgets', 'matplotlib.pyplot'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_only_the_labs_know_widgets_and_nobody_knows_pyplot() -> None:
    # pyplot is global state, and widget callbacks arrive on other threads.
    know = {module for module in MODULES if "ipywidgets" in imported(module)}
    assert {room(module) for module in know} == {"labs"}
    assert [module for module in MODULES if "matplotlib.pyplot" in imported(module)] == []
