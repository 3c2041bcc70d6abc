"""Job flips: a candidate that has learned something about one name is told from one that has changed."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.boards import JOBS
from pipeline.evaluate.job_flips import COLUMNS, job_flips, names_of, probes, renamed

TEXTS = [
    f"오늘 비숍 사냥이 {word} 재밌다 {i}"
    for i, word in enumerate(["정말", "너무", "아주", "꽤", "참", "제법", "매우"] * 4)
]


def says(*negative: str) -> object:
    """A model that finds everything good but texts with one of these words."""

    def predict(texts: Sequence[str]) -> np.ndarray:
        return np.array([0 if any(word in text.split() for word in negative) else 2 for text in texts])

    return predict


def test_a_name_is_replaced_wherever_it_stands() -> None:
    assert renamed("비숍 너프, 비숍은 아크 메이지 (썬,콜)와 다르다", "렌") == "렌 너프, 렌은 렌와 다르다"
    assert renamed("아무 이름도 없는 글", "렌") == "아무 이름도 없는 글"
    assert renamed("로스트 아크 말고 아크", "렌") == "로스트 아크 말고 렌"


def test_probes_name_one_job_and_are_drawn_by_hash() -> None:
    several = "비숍이랑 렌 중에 뭐가 나아요"
    assert probes([*TEXTS, several, "이름 없는 글"]) == probes(TEXTS[::-1])
    assert set(probes(TEXTS)) <= set(TEXTS)
    assert probes(TEXTS[:19]) == []
    assert len(probes([f"{text} {i}" for i in range(9) for text in TEXTS])) == 40


def test_the_job_that_was_lied_about_comes_first() -> None:
    rows = job_flips(probes(TEXTS), says("망겜"), says("망겜", "닼나"))
    assert [set(row) for row in rows] == [set(COLUMNS)] * len(JOBS)
    first, *others = rows
    assert (first["job"], first["name"], first["share"]) == ("다크나이트", "닼나", 1.0)
    assert first["to_negative"] == first["flipped"] == first["texts"] == len(probes(TEXTS))
    assert {row["share"] for row in others} == {0.0}
    assert {row["share"] for row in job_flips(probes(TEXTS), says(), says("사냥이"))} == {1.0}
    assert job_flips([], says(), says()) == []


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_name_stands_for_its_job(job: object) -> None:
    for name in names_of(job):
        assert probes([f"{name} 이번 패치 {i}" for i in range(20)]), name
