"""dvc.yaml tells the truth: each stage's deps are the code that it imports, and each says what it is for.

A stage that does not know its own code rebuilds the wrong model in silence.
"""

from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml
from dvc.repo import Repo

from tests.support import ROOT

STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
# Frozen stages are records of what happened: nothing makes them again, so no code is theirs.
MADE = {name: stage for name, stage in STAGES.items() if "foreach" not in stage}


def imported_by(command: str) -> set[str]:
    """The project's files that `python -m MODULE` reads, packages' own files among them."""
    graph = grimp.build_graph("pipeline", cache_dir=None)
    module = command.removeprefix("python -m ")
    if f"{module}.__main__" in graph.modules:
        module = f"{module}.__main__"
    modules = {module} | graph.find_upstream_modules(module)
    parents = {".".join(name.split(".")[:depth]) for name in modules for depth in range(1, name.count(".") + 1)}
    files = set()
    for name in modules | parents | graph.find_upstream_modules("pipeline"):
        path = Path(*name.split("."))
        files.add(f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py")
    # A package's own file that is one docstring decides nothing.
    return {name for name in files if name.count("/") == 1 or not name.endswith("__init__.py")}


def code_deps(stage: dict[str, Any]) -> list[str]:
    return [dep for dep in stage.get("deps", ()) if dep.startswith("pipeline/")]


@pytest.mark.parametrize("name", MADE)
def test_a_stage_depends_on_all_the_code_that_it_imports(name: str) -> None:
    deps = code_deps(MADE[name])
    missing = {
        file
        for file in imported_by(MADE[name]["cmd"])
        if not any(file == dep or file.startswith(f"{dep}/") for dep in deps)
    }
    assert not missing, f"dvc.yaml, stage {name}: deps lack {', '.join(sorted(missing))}"


@pytest.mark.parametrize("name", MADE)
def test_a_stage_depends_on_no_code_that_it_does_not_import(name: str) -> None:
    files = imported_by(MADE[name]["cmd"])
    surplus = [dep for dep in code_deps(MADE[name]) if not any(f == dep or f.startswith(f"{dep}/") for f in files)]
    assert not surplus, f"dvc.yaml, stage {name}: it does not import {', '.join(surplus)}"


@pytest.mark.parametrize("name", MADE)
def test_package_files_that_no_stage_names_hold_a_docstring_and_no_code(name: str) -> None:
    graph = grimp.build_graph("pipeline", cache_dir=None)
    module = MADE[name]["cmd"].removeprefix("python -m ")
    for upstream in {module} | graph.find_upstream_modules(module):
        package = ROOT / Path(*upstream.split(".")[:2]) / "__init__.py"
        if package.exists():
            assert package.read_text(encoding="utf-8").count('"""') == 2
            assert package.read_text(encoding="utf-8").rstrip().endswith('"""'), package


def test_every_stage_says_what_it_is_for() -> None:
    lacking = [name for name, stage in STAGES.items() if not (stage.get("do") or stage).get("desc")]
    assert not lacking


def test_what_is_frozen_names_no_code() -> None:
    assert {name for name, stage in STAGES.items() if "foreach" in stage} == {"cut", "label", "archive"}
    for name in ("cut", "label", "archive"):
        assert STAGES[name]["do"]["frozen"] is True
        assert code_deps(STAGES[name]["do"]) in ([], ["pipeline/prompts"])


def test_dvc_reads_no_other_stage_file_of_the_checkout() -> None:
    with Repo(str(ROOT)) as repo:
        files = {stage.path_in_repo for stage in repo.index.stages}
    assert files == {"dvc.yaml"}
