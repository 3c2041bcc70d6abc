"""What a model has learned, by signature: near-duplicates are known again, other texts are not."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.files import DataFileError
from pipeline.learn.examples import Example
from pipeline.learn.learned import LEARNED_FILE, Learned
from tests.pipeline.learn.test_prepare import texts


def examples(kind: str, count: int, label: int = 0) -> list[Example]:
    return [Example(text, label, 1.0, "chunk-0001") for text in texts(kind, count)]


def test_near_duplicates_of_what_was_learned_are_known() -> None:
    known = Learned.none().adding(examples("글", 200))
    same = texts("글", 200)
    assert known.resembles(same).all()
    assert known.resembles([f"{text} ㅠ" for text in same]).mean() > 0.97
    assert not known.resembles(texts("다른", 500)).any()
    assert known.resembles([]).shape == (0,)
    assert not Learned.none().resembles(same).any()


def test_it_passes_through_a_file_and_on_to_the_next_model(tmp_path: Path) -> None:
    first = Learned.none().adding(examples("글", 50))
    first.save(tmp_path)
    before = (tmp_path / LEARNED_FILE).read_bytes()
    first.save(tmp_path)
    assert (tmp_path / LEARNED_FILE).read_bytes() == before
    second = Learned.load(tmp_path).adding([*examples("글", 50), *examples("새", 10)])
    assert len(second) == 60  # what is known already is not added again
    assert second.resembles([*texts("글", 50), *texts("새", 10)]).all()
    assert len(Learned.load(tmp_path / "an older release")) == 0
    (tmp_path / LEARNED_FILE).write_bytes(before[:200])
    with pytest.raises(DataFileError, match=r"learned\.npy can't be read .*dvc checkout"):
        Learned.load(tmp_path)


def test_the_oldest_leave_when_it_is_full() -> None:
    known = Learned.none().adding(examples("글", 30), limit=40).adding(examples("새", 20), limit=40)
    assert len(known) == 40
    assert not known.resembles(texts("글", 10)).any()
    assert known.resembles(texts("새", 20)).all()


def test_a_text_with_another_label_was_not_learned_with_this_one() -> None:
    known = Learned.none().adding(examples("글", 3, label=0))
    np.testing.assert_array_equal(known.has([*examples("글", 3, label=0), *examples("글", 1, label=2)]), [1, 1, 1, 0])


def test_no_text_can_be_read_from_the_file(tmp_path: Path) -> None:
    Learned.none().adding([Example("아무도 읽지 못할 글입니다", 0, 1.0, "base")]).save(tmp_path)
    assert "읽지".encode() not in (tmp_path / LEARNED_FILE).read_bytes()
    assert (tmp_path / LEARNED_FILE).stat().st_size < 300
