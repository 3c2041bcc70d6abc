"""The nevers of the house (ARCHITECTURE.md), read from the imports, those inside functions and for types included."""

import subprocess
import sys
from graphlib import TopologicalSorter

import grimp
import pytest

from tests.support import ROOT

ROOMS = ("pipeline", "flows", "app", "demo", "benchmarks")
# What a room may never reach, by whatever way, and why.
NEVERS = [
    ("pipeline.live", ("pipeline.label", "pipeline.inven"), "the database knows no LLM and no site"),
    (
        "pipeline.learn",
        (
            "pipeline.live",
            "pipeline.label",
            "pipeline.inven",
            "pipeline.serve",
            "pipeline.evaluate",
            "pipeline.release",
        ),
        "learning is a pure function of files, and needs nothing of what serves",
    ),
    (
        "pipeline.model",
        ("pipeline.live", "pipeline.learn", "pipeline.serve"),
        "a model knows neither its maker nor its users",
    ),
    (
        "pipeline.serve",
        ("pipeline.learn", "pipeline.label", "pipeline.freeze"),
        "what serves needs nothing of what learns",
    ),
    ("pipeline.evaluate", ("pipeline.live", "pipeline.label"), "models are judged on files"),
    (
        "pipeline.release.promote",
        ("pipeline.live", "pipeline.freeze.repository"),
        "the gate is a pure function of files",
    ),
    (
        "app",
        ("pipeline.learn", "pipeline.label", "pipeline.inven", "pipeline.freeze", "pipeline.release", "flows"),
        "the page reads files and the store, never a stage",
    ),
    ("pipeline", ("flows", "app", "demo", "benchmarks", "prefect", "gradio"), "arrows run downward only"),
    ("flows", ("app", "demo", "benchmarks", "gradio"), "orchestration knows no page"),
    ("app", ("demo", "benchmarks", "prefect"), "the page knows no orchestration"),
]
GROUND = (
    "boards",
    "clock",
    "environment",
    "errors",
    "files",
    "hashing",
    "labels",
    "layout",
    "lock",
    "params",
    "settings",
)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*ROOMS, include_external_packages=True, cache_dir=None)


def inside(graph: grimp.ImportGraph, room: str) -> set[str]:
    return {name for name in graph.modules if name == room or name.startswith(f"{room}.")}


@pytest.mark.parametrize(("room", "never", "why"), NEVERS, ids=[room for room, _, _ in NEVERS])
def test_never(graph: grimp.ImportGraph, room: str, never: tuple[str, ...], why: str) -> None:
    assert inside(graph, room), f"{room} is gone: what does this rule stand for?"
    for other in never:
        assert inside(graph, other), f"{other} is gone: what does this rule stand for?"
        chains = [
            " -> ".join(chain)
            for one in inside(graph, room)
            for two in inside(graph, other)
            if (chain := graph.find_shortest_chain(one, two))
        ]
        assert not chains, f"{why}: {min(chains, key=len)}"


def test_sql_stays_beside_the_tables(graph: grimp.ImportGraph) -> None:
    for library in ("sqlalchemy", "alembic"):
        users = {
            name for name in graph.find_modules_that_directly_import(library) if not name.startswith("benchmarks.")
        }
        assert users
        assert not {name for name in users if not name.startswith("pipeline.live.")}


def test_the_ground_imports_nothing_above_it(graph: grimp.ImportGraph) -> None:
    ground = {f"pipeline.{name}" for name in GROUND} | {"pipeline"}
    for name in ground:
        above = {one for one in graph.find_upstream_modules(name) if one.startswith("pipeline")} - ground
        assert not above, f"{name} imports {', '.join(sorted(above))}"


def test_no_circle(graph: grimp.ImportGraph) -> None:
    """Neither between modules nor between rooms. A package's own file may import its modules."""
    modules = {name for name in graph.modules if name.split(".")[0] in ROOMS}
    tuple(TopologicalSorter({m: graph.find_modules_directly_imported_by(m) & modules for m in modules}).static_order())

    def room(module: str) -> str:
        parts = module.split(".")
        return ".".join(parts[: 2 if parts[0] == "pipeline" else 1])

    rooms: dict[str, set[str]] = {}
    for module in modules:
        used = {room(other) for other in graph.find_modules_directly_imported_by(module) & modules}
        rooms.setdefault(room(module), set()).update(used - {room(module)})
    tuple(TopologicalSorter(rooms).static_order())  # raises CycleError, which names the circle


def test_importing_train_brings_in_no_database_no_llm_and_nothing_that_serves(graph: grimp.ImportGraph) -> None:
    brought = graph.find_upstream_modules("pipeline.learn.train")
    assert "pipeline.model.network" in brought
    assert not {
        name
        for name in brought
        if name.startswith(("pipeline.live", "pipeline.label.", "pipeline.serve", "sqlalchemy", "openai"))
    }


def test_the_process_that_trains_loads_none_of_them() -> None:
    """Not by the graph but for real: what is in memory after the import."""
    unwanted = ("pipeline.live", "pipeline.label.", "pipeline.serve", "sqlalchemy", "openai", "prefect", "gradio")
    code = f"import sys, pipeline.learn.train; print([m for m in sys.modules if m.startswith({unwanted!r})])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
