"""Answers that changed."""

import numpy as np

from pipeline.evaluate.flips import count_flips, excerpt, flip_rows
from pipeline.learn.examples import Example


def test_no_title_is_a_formula_in_the_lists_that_people_open() -> None:
    assert excerpt("=HYPERLINK(1)\n둘째 줄") == "'=HYPERLINK(1)"
    assert excerpt("@everyone " * 9).startswith("'@everyone")
    assert excerpt("3줄 요약 -1") == "3줄 요약 -1"


def test_changes_are_named_by_who_is_right() -> None:
    examples = [Example(f"제목 {i}\n본문", label, 1.0, "gold") for i, label in enumerate([0, 0, 1, 2])]
    champion = np.array([[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.6, 0.2, 0.2], [0.5, 0.4, 0.1]])
    candidate = np.array([[0.3, 0.6, 0.1], [0.9, 0.1, 0.0], [0.2, 0.1, 0.7], [0.5, 0.4, 0.1]])
    rows = flip_rows("gold", examples, champion, candidate)
    assert [(row["row"], row["change"]) for row in rows] == [(0, "worse"), (1, "better"), (2, "other")]
    assert rows[1] == {
        "set": "gold",
        "row": 1,
        "label": "부정",
        "champion": "중립",
        "champion_confidence": 0.7,
        "candidate": "부정",
        "candidate_confidence": 0.9,
        "change": "better",
        "excerpt": "제목 1",
    }
    assert count_flips(rows) == {"better": 1, "worse": 1, "other": 1}
    assert count_flips([]) == {"better": 0, "worse": 0, "other": 0}


def test_an_excerpt_is_the_title_and_never_long() -> None:
    assert excerpt("제목\n본문 " * 50) == "제목"
    assert excerpt("가" * 60) == "가" * 60
    long = excerpt("가 " * 400)
    assert len(long) == 60
    assert long.endswith("가…")
