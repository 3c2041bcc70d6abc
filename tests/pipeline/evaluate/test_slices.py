"""Figures by job group and by length."""

import numpy as np
import pytest

from pipeline.evaluate.slices import length_name, slice_rows
from pipeline.learn.examples import Example
from tests.support.params import evaluate_params

PARAMS = evaluate_params(length_bounds=(5, 10), slice_min=3, bootstrap=20, seed=1)


def test_lengths_by_hand() -> None:
    assert [length_name(n, (5, 10)) for n in (0, 4, 5, 9, 10, 99)] == ["short"] * 2 + ["medium"] * 2 + ["long"] * 2


def test_slices_by_hand() -> None:
    examples = [
        Example("네 글자", 0, 1.0, "gold", "전사"),
        Example("여섯글자임", 1, 1.0, "gold", "전사"),
        Example("이것은 아주 긴 글이다", 1, 1.0, "gold", "전사"),
        Example("짧다", 0, 1.0, "gold", "전사"),
        Example("짧아", 2, 1.0, "gold"),
        Example("짧음", 2, 1.0, "gold", "해적"),
    ]
    answers = np.eye(3)[[0, 1, 0, 0, 1, 2]]
    rows = slice_rows("gold", examples, {"candidate": answers, "champion": answers[::-1]}, PARAMS)
    mine = {(row["by"], row["slice"]): row for row in rows if row["model"] == "candidate"}
    assert {key: row["rows"] for key, row in mine.items()} == {
        ("job_group", "none"): 1,
        ("job_group", "전사"): 4,
        ("job_group", "해적"): 1,
        ("length", "long"): 1,
        ("length", "medium"): 1,
        ("length", "short"): 4,
    }
    warriors = mine["job_group", "전사"]
    assert warriors["accuracy"] == 0.75
    # 부정: precision 2/3, recall 1; 중립: 1, 1/2. No 긍정 occurs, so none counts.
    assert warriors["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2, abs=1e-6)
    assert warriors["macro_f1_low"] <= warriors["macro_f1"] <= warriors["macro_f1_high"]
    assert mine["length", "short"]["accuracy"] == 0.75
    few = mine["job_group", "해적"]
    assert [few[name] for name in ("accuracy", "macro_f1", "macro_f1_low", "macro_f1_high")] == [None] * 4
    others = [row for row in rows if row["model"] == "champion" and row["slice"] == "short"]
    assert others[0]["accuracy"] == 0.25


def test_general_text_has_no_job_and_no_text_no_slice() -> None:
    base = [Example("글", 0, 1.0, "base")] * 3
    assert [row["by"] for row in slice_rows("test_base", base, {"candidate": np.eye(3)}, PARAMS)] == ["length"]
    assert slice_rows("test_base", [], {"candidate": np.zeros((0, 3))}, PARAMS) == []
