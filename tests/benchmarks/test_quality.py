"""`python -m benchmarks.quality --train A.tsv --test B.tsv`: a stranger's two files, our network and the baseline."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import ROOT

WORDS = ("노답", "질문", "갓겜")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a user gives it, in a folder with the project's params made small."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["train"].update(embedding=8, units=[6, 4], wide_buckets=4096, min_steps=20)
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.quality", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.slow
def test_two_files_are_enough(tmp_path: Path) -> None:
    for name, numbers in (("a.tsv", range(80)), ("b.tsv", range(80, 100))):
        rows = [f"{word} 게임 {i}\t{label}" for i in numbers for label, word in enumerate(WORDS)]
        (tmp_path / name).write_text("\n".join(["text\tlabel", *rows]) + "\n", encoding="utf-8")
    done = run(tmp_path, "--train", "a.tsv", "--test", "b.tsv")
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(r"files: (.+?): accuracy [\d.]+, macro-F1 ([\d.]+)", done.stdout))
    assert set(found) == {"TF-IDF + logistic regression", "ours"}
    assert min(map(float, found.values())) > 0.9
    assert not (tmp_path / "benchmarks").exists()


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("text\tlabel\n글\t7\n", encoding="utf-8")
    shutil.copyfile(tmp_path / "a.tsv", tmp_path / "b.tsv")
    done = run(tmp_path, "--train", "a.tsv", "--test", "b.tsv")
    assert done.returncode == 1
    assert "a.tsv" in done.stderr
    assert "Traceback" not in done.stderr
    assert "go together" in run(tmp_path, "--train", "a.tsv").stderr
