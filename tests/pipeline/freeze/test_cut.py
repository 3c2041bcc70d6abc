"""Cut: assigned posts become a file, and the same file again after a crash."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.files import DataFileError, read_csv
from pipeline.freeze.cut import write_chunk
from pipeline.layout import CHUNK_COLUMNS, raw_path
from pipeline.live.records import Post
from pipeline.live.store import Store
from tests.support import ROOT

MakePost = Callable[..., Post]


def test_the_file_holds_the_posts_in_order_of_collection(tmp_path: Path, store: Store, make_post: MakePost) -> None:
    store.add_posts(
        [make_post(9, 2294, job_group="전사", job="히어로", title="=1+1"), make_post(3, body='a\n"b",ㅋㅋ')]
    )
    store.assign_chunk(2, after=6)
    path = write_chunk(store, "0007", tmp_path)
    assert path == tmp_path / "data" / "raw_chunks" / "raw_data_0007.csv"
    assert path.read_bytes() == (
        b"\xef\xbb\xbf" + ",".join(CHUNK_COLUMNS).encode() + b"\n"
        + (
            "2294,9,전사,히어로,=1+1,본문 9,https://www.inven.co.kr/board/maple/2294/9,"
            "2026-11-22T12:09:00+09:00,2026-11-23T12:00:00+09:00,10,,\n"
            '5974,3,,,제목 3,"a\n""b"",ㅋㅋ",https://www.inven.co.kr/board/maple/5974/3,'
            "2026-11-22T12:03:00+09:00,2026-11-23T12:00:00+09:00,10,,\n"
        ).encode()
    )  # fmt: skip


def test_a_crash_between_assigning_and_writing_gives_the_same_bytes(tmp_path: Path, make_post: MakePost) -> None:
    url = f"sqlite:///{tmp_path / 'live.db'}"
    with Store(url) as store:
        store.add_posts([make_post(number) for number in range(1, 11)])
        assert store.assign_chunk(5) == 1
        expected = write_chunk(store, "0001", tmp_path / "first").read_bytes()
    # The machine stops here. Another process finds the number, more posts, labels and keywords meanwhile.
    with Store(url) as store:
        store.add_posts([make_post(number) for number in range(1, 21)])
        assert store.last_chunk() == 1
        assert store.assign_chunk(5) == 2
        store.set_post_labels([{"board_id": 5974, "post_id": 1, "label": 1, "confidence": 0.8, "labeler": "x"}])
        store.save_keywords("v", [(1, "버그")])
        assert write_chunk(store, "0001", tmp_path / "second").read_bytes() == expected


def test_a_number_that_no_post_carries(tmp_path: Path, store: Store) -> None:
    with pytest.raises(DataFileError, match=r"no post of chunk 0009: `dvc pull data/raw_chunks/raw_data_0009\.csv`"):
        write_chunk(store, "0009", tmp_path)
    assert not raw_path("0009", tmp_path).exists()


def test_the_command(tmp_path: Path, make_post: MakePost) -> None:
    url = f"sqlite:///{tmp_path / 'live.db'}"
    with Store(url) as store:
        store.add_posts([make_post(number) for number in range(1, 5)])
        store.assign_chunk(2)
        store.assign_chunk(2)
    environment = os.environ | {"DATABASE_URL": url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pipeline.freeze.cut"]
    done = subprocess.run(
        [*command, "0001", "0002"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(raw_path("0001")), str(raw_path("0002"))]
    assert [row["post_id"] for row in read_csv(raw_path("0002", tmp_path), CHUNK_COLUMNS)] == ["3", "4"]
    failed = subprocess.run([*command, "0003"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: the live database has no post of chunk 0003")
    assert "Traceback" not in failed.stderr
