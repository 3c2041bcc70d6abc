"""The tree in ARCHITECTURE.md: each room and file with the first sentence that it says of itself.

python -m tests.support.tree            # write it: `make fix`
python -m tests.support.tree --check    # only say whether it is stale: `make lint`
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.support.markdown import refresh
from pipeline import errors
from pipeline.errors import UserError
from tests.support import ROOT

PAGE = ROOT / "ARCHITECTURE.md"
WIDTH = 24  # of the names' column
# Rooms in the order in which the loop goes through them; a new one stands at its parent's end until it is put here.
ROOMS = (
    "flows",
    "app",
    "app/tabs",
    "pipeline",
    "pipeline/live",
    "pipeline/inven",
    "pipeline/freeze",
    "pipeline/label",
    "pipeline/label/servers",
    "pipeline/learn",
    "pipeline/model",
    "pipeline/serve",
    "pipeline/evaluate",
    "pipeline/release",
    "pipeline/prompts",
    "demo",
    "benchmarks",
    "benchmarks/support",
    "tests",
    "tests/support",
)
# What is said of a room that has no docstring; a room that is left out has None: tests mirror the files they are for.
NOTES = {
    "pipeline/live/migrations": "The history of the tables, for Alembic: one file a change.",
    "pipeline/prompts": "What the LLM is told: data, not code.",
    "pipeline/prompts/canaries": "What is asked beside each chunk to see whether the LLM obeys posts.",
    "tests/app": None,
    "tests/benchmarks": None,
    "tests/demo": None,
    "tests/flows": None,
    "tests/pipeline": None,
}
CLOSED = ("pipeline/live/migrations",)  # one line for all of it
AT_THE_ROOT = (
    "dvc.yaml",
    "params.yaml",
    "prefect.yaml",
    "prefect.toml",
    "Procfile",
    "Makefile",
    ".env.example",
    ".pre-commit-config.yaml",
)


class NoFirstLine(UserError):
    """A file doesn't say what it is. The message names it."""


def first_sentence(path: Path) -> str:
    """Of a module's docstring, or of the comment that another file begins with. Raises NoFirstLine."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        said = ast.get_docstring(ast.parse(text)) or ""
    else:
        lines = [line for line in text.splitlines() if not line.startswith("#!")]
        ending = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
        said = "\n".join(line.lstrip("# ") for line in lines[:ending])
    line = said.split("\n", 1)[0]
    found = re.match(r".*?[.?!](?= +[^a-z\s]|$)", line)
    if not found:
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        raise NoFirstLine(f"{name}: its first line has to say in one sentence what it is, and says {line!r}")
    return found[0]


def rooms(folder: Path) -> list[Path]:
    """The rooms in a folder, in the order of ROOMS."""
    places = {name: place for place, name in enumerate(ROOMS)}

    def order(path: Path) -> tuple[int, str]:
        name = str(path.relative_to(ROOT))
        return places.get(name, len(places)), name

    found = [path for path in folder.iterdir() if path.is_dir() and [*path.glob("*.py"), *path.glob("*.toml")]]
    return sorted((path for path in found if NOTES.get(str(path.relative_to(ROOT)), "") is not None), key=order)


def branch(folder: Path, depth: int = 0) -> Iterator[str]:
    """A room's own line, its files' lines, and its rooms'."""
    indent, inner = "  " * depth, "  " * (depth + 1)
    name = str(folder.relative_to(ROOT))
    yield entry(f"{indent}{folder.name}/", NOTES.get(name) or first_sentence(folder / "__init__.py"))
    if name in CLOSED:
        return
    for path in sorted(folder.glob("*")):
        if path.suffix in (".py", ".toml") and path.name != "__init__.py":
            yield entry(f"{inner}{path.name}", first_sentence(path))
    for room in rooms(folder):
        yield from branch(room, depth + 1)


def entry(name: str, words: str) -> str:
    """A line of the tree."""
    return f"{name:<{WIDTH}}{'' if len(name) < WIDTH else ' '}{words}".rstrip()


def tree(_: str = "") -> str:
    """The whole tree as a fenced block."""
    lines = [entry(name, first_sentence(ROOT / name)) for name in AT_THE_ROOT]
    for room in ROOMS:
        if "/" not in room:
            lines += ["", *branch(ROOT / room)]
    return "\n".join(["```", *lines, "```"])


def main() -> int:
    """Status 1 when the page is stale (with --check)."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.tree", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 when the page is stale")
    given = parser.parse_args()
    return refresh([PAGE], "tree", tree, check=given.check)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    errors.run(main)
