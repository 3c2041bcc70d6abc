"""A real, small project in a temporary folder: Git, DVC, a remote, the real stages, tiny training params."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from pipeline.files import write_csv, write_json
from pipeline.labels import SENTIMENTS
from pipeline.layout import CHUNK_COLUMNS, labeled_path
from pipeline.live.store import Store
from tests.support import ROOT

_COPIED = (
    "pipeline",
    "data/base/hand_written.jsonl",
    "data/gold",
    "data/dictionaries",
    "data/korean_stopwords.txt",
    "data/catalog.yaml",
    "data/raw_chunks/.gitkeep",
    "data/labeled_chunks/.gitkeep",
    "data/archived_feedback/.gitkeep",
    "dvc.yaml",
    ".dvcignore",
    ".gitignore",
)
TINY = {"epochs": 2, "embedding": 8, "units": [8, 8], "min_steps": 0, "vocabulary": 500, "max_tokens": 24}
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@localhost",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@localhost",
}


def run(root: Path, *command: str) -> str:
    """Output of a command in the project; its words in the failure when it fails."""
    done = subprocess.run(command, cwd=root, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def make_project(root: Path, *more: str) -> Path:
    """The project at `root` with `more` files or folders, committed on branch main, a DVC remote beside it."""
    root.mkdir(parents=True)
    for name in (*_COPIED, *more):
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(source, target)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["train"] |= TINY
    params["evaluate"]["bootstrap"] = params["promote"]["bootstrap"] = 50
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    run(root, "git", "init", "--quiet", "--initial-branch", "main")
    run(root, sys.executable, "-m", "dvc", "init", "--quiet")
    shutil.copy(ROOT / ".dvcignore", root / ".dvcignore")
    run(root, sys.executable, "-m", "dvc", "remote", "add", "--default", "store", str(root.parent / "dvc-store"))
    run(root, "git", "add", "--all")
    run(root, "git", "commit", "--quiet", "--message", "Begin")
    return root


def write_labelled(store: Store, number: int, moods: Sequence[int], root: Path) -> Path:
    """A labelled chunk beside its raw one, as the LLM stage writes it, with the labels given."""
    rows = [
        {
            **row,
            "label": mood,
            "sentiment": SENTIMENTS[mood],
            "confidence": "",
            "labeler": "t:0",
            "prompt": "t",
            "note": "",
        }
        for row, mood in zip(store.posts_of_chunk(number), moods, strict=True)
    ]
    path = labeled_path(f"{number:04d}", root)
    write_csv(path, rows, (*CHUNK_COLUMNS, "label", "sentiment", "confidence", "labeler", "prompt", "note"))
    write_json(path.with_suffix(".json"), {"chunk": f"{number:04d}"})
    return path
