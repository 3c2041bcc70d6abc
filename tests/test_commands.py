"""Every `python -m …` of the project: `--help` at once, a wrong word is an error, and a line in the docs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

PACKAGES = ("pipeline", "app", "flows", "demo", "benchmarks")
# One process for all of them: what costs time is importing Prefect and scikit-learn, once.
CALL_ALL = """
import contextlib, io, json, runpy, sys, threading

def call(module, *arguments):
    sys.argv = [module, *arguments]
    out, err, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code or 0
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}

found = {}
for module in sys.argv[1:]:
    threads = threading.active_count()
    found[module] = {
        "help": call(module, "--help"),
        "wrong": call(module, "--no-such-option"),
        "tensorflow": "tensorflow" in sys.modules,
        "threads": threading.active_count() - threads,
    }
print(json.dumps(found))
"""


def commands() -> list[str]:
    """The modules that `python -m` runs."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[-1] == "__main__":
                found.append(".".join(parts[:-1]))
            elif re.search(r'^if __name__ == "__main__":', path.read_text(encoding="utf-8"), re.MULTILINE):
                found.append(".".join(parts))
    return found


COMMANDS = commands()


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("nowhere")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-c", CALL_ALL, *COMMANDS]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert list(folder.iterdir()) == []  # nothing was begun
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", COMMANDS)
def test_help_says_how_it_is_called_and_starts_nothing(called: dict[str, Any], module: str) -> None:
    found = called[module]
    assert found["help"]["code"] == 0, found["help"]["err"][-2000:]
    assert found["help"]["out"].startswith(f"usage: python -m {module} ")
    assert len(found["help"]["out"].splitlines()) > 4  # what it is for, too
    assert not found["tensorflow"]
    assert found["threads"] == 0


@pytest.mark.parametrize("module", COMMANDS)
def test_a_wrong_word_is_an_error(called: dict[str, Any], module: str) -> None:
    assert called[module]["wrong"]["code"] == 2
    assert "--no-such-option" in called[module]["wrong"]["err"] or "required" in called[module]["wrong"]["err"]


@pytest.mark.parametrize("module", COMMANDS)
def test_the_docs_have_a_line_on_it(module: str) -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    assert re.search(rf"python -m {re.escape(module)}(?![\w.])", text), f"docs/commands.md lacks python -m {module}"


@pytest.mark.parametrize("module", COMMANDS)
def test_it_ends_as_every_command_does(module: str) -> None:
    path = ROOT / Path(*module.split("."))
    source = (path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
    end = source[source.index('if __name__ == "__main__":') :].split("\n", 1)[1].strip()
    assert end in ("errors.run(main)", "run(main)")


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("pipeline.freeze.cut", ()),
        ("pipeline.freeze.cut", ("seven",)),
        ("pipeline.freeze.cut", ("0",)),
        ("pipeline.freeze.archive", ()),
        ("pipeline.freeze.archive", ("0005-0001",)),
        ("pipeline.label", ()),
        ("pipeline.live.all_posts", ()),
        ("pipeline.live.user_feedback", ("import",)),
        ("pipeline.spreadsheet", ("only-one",)),
        ("demo.replay", ()),
    ],
)
def test_what_needs_a_word_more_says_so(module: str, arguments: tuple[str, ...]) -> None:
    from importlib import import_module

    name = f"{module}.__main__" if (ROOT / Path(*module.split("."))).is_dir() else module
    with pytest.raises(SystemExit) as ended:
        import_module(name).main(list(arguments))
    assert ended.value.code == 2


def named_in(text: str) -> set[str]:
    """Modules of ours that a text calls: `python -m a.b`, or "-m", "a.b" in a list."""
    words = re.findall(r"""-m["']?,?\s+["']?([a-z_]+(?:\.[a-z_]+)*)(?!\.?[\w{$\\])""", text)
    return {word for word in words if word.split(".")[0] in PACKAGES}


def test_every_call_in_the_project_is_of_a_command_that_there_is() -> None:
    """A moved module whose caller still uses the old name fails here, not in a benchmark months later."""
    sources = [path for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py")]
    sources += [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "Procfile", ROOT / "Makefile"]
    sources += [ROOT / "dvc.yaml", ROOT / "benchmarks" / "README.md"]
    unknown = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in sources
        for module in named_in(path.read_text(encoding="utf-8"))
        if module not in COMMANDS and path.name != "test_flat_house.py"  # that one is about the house of before
    }
    assert not unknown
