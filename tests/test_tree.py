"""The tree in ARCHITECTURE.md: fresh, complete, and made of what each file says of itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.support.markdown import refresh
from tests.support import ROOT, tree
from tests.support.tree import NoFirstLine, first_sentence


def test_the_committed_tree_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.tree", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_module_stands_in_it() -> None:
    shown = tree.tree().splitlines()
    for room in ("app", "flows", "pipeline", "demo", "benchmarks"):
        for path in (ROOT / room).rglob("*.py"):
            if path.name != "__init__.py" and "migrations" not in path.parts:
                assert sum(line.strip().startswith(f"{path.name} ") for line in shown), path


def test_every_test_file_says_in_one_sentence_what_it_is_about() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        if path.name != "__init__.py":
            assert first_sentence(path)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("one.py", '"""Cut: posts become a chunk. Run by DVC.\n\nMore."""\n', "Cut: posts become a chunk."),
        ("one.py", '"""Does it fit? Known before."""\n', "Does it fit?"),
        ("one.py", '"""Reads `a.csv`, by e.g. hand."""\n', "Reads `a.csv`, by e.g. hand."),
        ("one.yaml", "# Every number. Stages depend.\n\nkey: 1\n", "Every number."),
        ("run", "#!/bin/sh\n# Runs it.\nset -e\n", "Runs it."),
    ],
)
def test_the_first_sentence(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert first_sentence(tmp_path / name) == sentence


@pytest.mark.parametrize("text", ["import os\n", '"""No end of the sentence"""\n', '"""Two lines\nof one."""\n', ""])
def test_a_file_that_says_nothing_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "mute.py").write_text(text, encoding="utf-8")
    with pytest.raises(NoFirstLine, match=r"mute\.py: its first line has to say"):
        first_sentence(tmp_path / "mute.py")


def test_a_changed_first_line_makes_the_page_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in tree.AT_THE_ROOT:
        (tmp_path / name).write_text("# A file.\n", encoding="utf-8")
    for room in tree.ROOMS:
        (tmp_path / room).mkdir(parents=True, exist_ok=True)
        (tmp_path / room / "__init__.py").write_text('"""A room."""\n', encoding="utf-8")
    module = tmp_path / "pipeline" / "cut.py"
    module.write_text('"""Cuts."""\n', encoding="utf-8")
    page = tmp_path / "ARCHITECTURE.md"
    page.write_text("<!-- tree all -->\n<!-- end tree -->\n", encoding="utf-8")
    monkeypatch.setattr(tree, "ROOT", tmp_path)

    assert refresh([page], "tree", tree.tree, check=False) == 0
    assert "  cut.py                Cuts.\n" in page.read_text(encoding="utf-8")
    assert refresh([page], "tree", tree.tree, check=True) == 0
    module.write_text('"""Cuts posts."""\n', encoding="utf-8")
    assert refresh([page], "tree", tree.tree, check=True) == 1
    assert "stale, run `make fix`" in capsys.readouterr().err
