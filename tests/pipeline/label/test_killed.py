"""SIGKILL at random instants: no text is paid for twice but for those in flight, and the file is the same."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from pipeline.files import write_csv
from pipeline.label.prompt import text_hash
from pipeline.label.server import PROBES, TRIAL
from pipeline.layout import CHUNK_COLUMNS as RAW_COLUMNS
from pipeline.layout import labeled_path, raw_path
from pipeline.live.store import Store
from pipeline.live.tables import labels
from tests.pipeline.label import labelling
from tests.support.llm_stand_in import Reply, StandIn, asked_post, by_keyword
from tests.support.project import ENVIRONMENT, ROOT

POSTS, KILLS, AT_ONCE = 300, 20, 4
PARAMS = {**labelling.PARAMS, "concurrency": AT_ONCE, "timeout_s": 30, "gold_sample": 12, "repeat_share": 0.02}


def make_place(root: Path) -> Path:
    """A project folder with a raw chunk of 300 posts and gold texts."""
    moods = ("최고", "망했", "그냥")
    rows = [
        dict.fromkeys(RAW_COLUMNS, "") | {"board_id": 5974, "post_id": i, "title": f"{i}번 글", "body": moods[i % 3]}
        for i in range(POSTS)
    ]
    write_csv(raw_path("0001", root), rows, RAW_COLUMNS)
    gold = [{"title": f"골드 {i}", "body": moods[i % 3], "label": (2, 0, 1)[i % 3]} for i in range(24)]
    write_csv(root / "data/gold/hand.csv", gold, ("title", "body", "label"))
    (root / "params.yaml").write_text(json.dumps({"label": PARAMS}), encoding="utf-8")
    return root


def begin(root: Path, url: str) -> subprocess.Popen[bytes]:
    """`python -m pipeline.label 0001` in that folder."""
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "LLM_MODEL"}
    environment |= {"LLM_ENDPOINTS": url, "DATABASE_URL": f"sqlite:///{root}/live.db", "PYTHONPATH": os.fspath(ROOT)}
    command = [sys.executable, "-m", "pipeline.label", "0001"]
    return subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Counted(StandIn):
    """A stand-in that takes 10 ms and notes the texts that it was asked about, without probes and trials."""

    def __init__(self) -> None:
        super().__init__(self._reply)
        self.texts: list[str] = []

    def _reply(self, request: dict[str, Any], count: int) -> Reply:
        text = asked_post(request).removeprefix("[글]\n").removesuffix("\n[/글]\n기분:")
        if text not in (*PROBES, TRIAL):
            self.texts.append(text)
        reply = by_keyword(request)
        reply.delay_s = 0.01
        return reply


def written(root: Path) -> tuple[bytes, bytes]:
    target = labeled_path("0001", root)
    return target.read_bytes(), target.with_suffix(".json").read_bytes()


@pytest.mark.slow
def test_killed_twenty_times(tmp_path: Path) -> None:
    with Counted() as server:
        calm = make_place(tmp_path / "calm")
        said = begin(calm, server.url).communicate()[1].decode()
        assert labeled_path("0001", calm).exists(), said
        expected = Counter(server.texts)

    rng = random.Random(4)
    instants = sorted(rng.randrange(1, expected.total()) for _ in range(KILLS))
    root = make_place(tmp_path / "killed")
    lost, kept = 0, set[str]()
    with Counted() as server, Store(f"sqlite:///{root}/live.db") as store:
        for instant in instants:
            begun = len(server.texts)
            process = begin(root, server.url)
            while process.poll() is None and (not server.asked or len(server.texts) < instant + lost):
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            time.sleep(0.1)  # what it had sent is counted
            assert not [text for text in server.texts[begun:] if expected[text] == 1 and text_hash(text) in kept]
            with store.reading() as connection:
                saved = connection.scalar(select(func.count()).select_from(labels)) or 0
                kept = set(connection.scalars(select(labels.c.text_hash)))
            assert 0 <= len(server.texts) - saved - lost <= AT_ONCE, "asked and not kept: what was in flight"
            lost = len(server.texts) - saved
        process = begin(root, server.url)
        said = process.communicate()[1].decode()
        assert process.returncode == 0, said
        total = Counter(server.texts)

    assert set(total) == set(expected)
    assert not expected - total
    assert total.total() == expected.total() + lost, "every text once, but for those in flight"
    assert written(root) == written(calm)
