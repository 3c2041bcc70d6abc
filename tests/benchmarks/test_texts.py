"""The benchmarks' data: one split for all, no text in both parts, none of the tested among the unlabelled."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from benchmarks.support import texts
from pipeline.files import DataFileError


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """900 movie reviews of every rating, each tenth one twice, and an empty one."""
    rows = [(i, f"20{3 + i // 100:02d}.01.01", f"영화 {i - (i % 10 == 9)} 후기", i % 10 + 1) for i in range(900)]
    rows.append((900, "2015.01.01", "", 9))
    path = tmp_path / "nsmc.tsv.gz"
    frame = pl.DataFrame(rows, schema=["review_id", "date", "review", "rating"], orient="row")
    frame.with_columns(movie_id=1).write_csv(path, separator="\t", quote_style="never", compression="gzip")
    return path


def test_a_split_shares_no_text_and_is_the_same_each_time(reviews: Path) -> None:
    task = texts.nsmc3(reviews)
    train, test, other = ({e.text for e in task.train}, {e.text for e in task.test}, set(task.unlabelled))
    assert not train & test
    assert not other & (train | test)
    assert train | test | other == {e.text for e in texts.nsmc_stream(reviews)}
    counts = Counter(example.label for example in task.train)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len(test) == pytest.approx(len(train) / 3, abs=2)
    assert task.moods == [0, 1, 2]
    assert texts.nsmc3(reviews) == task


def test_the_stream_is_in_the_order_of_dates_and_each_text_stands_once(reviews: Path) -> None:
    stream = texts.nsmc_stream(reviews)
    numbers = [int(example.text.split()[1]) for example in stream]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 810
    by_number = {number: example.label for number, example in zip(numbers, stream, strict=True)}
    assert [by_number[i] for i in range(9)] == [0, 0, 0, 0, 1, 1, 1, 1, 2]  # 1–4, 5–8, 9–10


def test_a_binary_task_takes_other_texts_as_unlabelled(reviews: Path, tmp_path: Path) -> None:
    path = tmp_path / "steam.tsv"
    rows = [(i % 2, f"게임 {i} 평가") for i in range(100)] + [(1, "영화 3 후기")]
    pl.DataFrame(rows, schema=["label", "document"], orient="row").write_csv(path, separator="\t")
    task = texts.steam(path, reviews)
    assert task.moods == [0, 2]
    assert "영화 3 후기" not in task.unlabelled
    assert len(task.unlabelled) == 809


def test_held_out_texts_are_decided_by_themselves() -> None:
    some = texts.examples([f"글 {i}" for i in range(500)], [0] * 500)
    training, validation = texts.held_out(some, 0.1)
    assert len(validation) == pytest.approx(50, abs=20)
    assert {e.text for e in texts.held_out(some[::-1], 0.1)[1]} == {e.text for e in validation}
    assert len(training) + len(validation) == 500


def test_a_missing_set_says_what_to_do_instead(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"none\.tsv is not there: give two files of your own with --train"):
        texts.steam(tmp_path / "none.tsv")
