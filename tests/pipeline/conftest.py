"""Fixtures of the core's tests: a live database, posts for it, and a really trained tiny model."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.clock import KST
from pipeline.files import write_bytes, write_json
from pipeline.freeze.catalog import Catalog, write_catalog
from pipeline.labels import parse_label
from pipeline.layout import BASE_FILE, CHAMPION, NO_CHAMPION, PREPARED
from pipeline.learn.base import BUILT_IN, built_in_bytes
from pipeline.learn.examples import Example, write_sets
from pipeline.live.records import Post
from pipeline.live.store import Store
from pipeline.model.folder import METADATA_FILE
from pipeline.release.champion import write_champion
from tests.support import ROOT

START = datetime(2026, 11, 22, 12, 0, tzinfo=KST)
TINY_VERSION = "20261122T154500"
TINY_TRAIN = {
    "seed": 7,
    "max_tokens": 24,
    "vocabulary": 500,
    "min_count": 1,
    "wide_buckets": 4096,
    "wide_c": 4.0,
    "embedding": 8,
    "units": [6, 4],
    "min_steps": 0,
    "learning_rate": 0.02,
    "batch": 16,
    "epochs": 2,
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The live database in a real SQLite file."""
    with Store(f"sqlite:///{tmp_path / 'live.db'}") as opened:
        yield opened


@pytest.fixture
def make_post() -> Callable[..., Post]:
    """A post: `make_post(7)`, with any field of `Post` by name."""

    def make(post_id: int, board_id: int = 5974, **fields: Any) -> Post:
        values: dict[str, Any] = {
            "category": "수다",
            "job_group": None,
            "job": None,
            "title": f"제목 {post_id}",
            "body": f"본문 {post_id}",
            "url": f"https://www.inven.co.kr/board/maple/{board_id}/{post_id}",
            "posted_at": START + timedelta(minutes=post_id),
            "collected_at": START + timedelta(days=1),
            "views": 10,
        }
        return Post(board_id, post_id, **{**values, **fields})

    return make


@pytest.fixture(scope="session")
def base_examples() -> list[Example]:
    """20 hand-written texts of each mood, the moods in turn."""
    rows = [json.loads(line) for line in (ROOT / BUILT_IN).read_text(encoding="utf-8").splitlines()]
    by_mood = {mood: [row["text"] for row in rows if row["mood"] == mood][:20] for mood in ("부정", "중립", "긍정")}
    return [
        Example(by_mood[mood][i], parse_label(mood), 1.0, "base")
        for i in range(20)
        for mood in ("부정", "중립", "긍정")
    ]


@pytest.fixture(scope="session")
def tiny_inputs(tmp_path_factory: pytest.TempPathFactory, base_examples: list[Example]) -> Path:
    """A project's folder with all that the stage `train` reads, made small: 48 texts, 12 for validation."""
    root = tmp_path_factory.mktemp("project")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["train"].update(TINY_TRAIN)
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    write_catalog(Catalog(TINY_VERSION, NO_CHAMPION, ("0001",), ()), root / "data" / "catalog.yaml")
    sets = {"train": base_examples[:48], "validation": base_examples[48:], "test_chunk": [], "test_base": []}
    write_sets(sets, root / PREPARED)
    write_bytes(root / BASE_FILE, built_in_bytes(ROOT / BUILT_IN))
    write_champion(NO_CHAMPION, root / CHAMPION)
    return root


@pytest.fixture(scope="session")
def tiny_model(tiny_inputs: Path) -> Path:
    """The folder of a model that `pipeline.learn.train` trained for two epochs. Not to be changed: copy it."""
    from pipeline.layout import CANDIDATE
    from pipeline.learn.train import write_candidate

    with contextlib.chdir(tiny_inputs):
        write_candidate()
    return tiny_inputs / CANDIDATE


@pytest.fixture
def model_copy(tiny_model: Path) -> Callable[[Path, str], Path]:
    """Put a copy of the tiny model in a folder, under another version."""

    def copy(folder: Path, version: str) -> Path:
        shutil.copytree(tiny_model, folder)
        metadata = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
        write_json(folder / METADATA_FILE, {**metadata, "version": version})
        return folder

    return copy
