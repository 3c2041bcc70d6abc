"""The three labels."""

import pytest

from pipeline.labels import NEGATIVE, NEUTRAL, POSITIVE, SENTIMENTS, parse_label


def test_order_is_the_projects() -> None:
    assert (NEGATIVE, NEUTRAL, POSITIVE) == (0, 1, 2)
    assert SENTIMENTS == ("부정", "중립", "긍정")


LABELS = [
    *[("0", 0), (" 1 ", 1), ("2\n", 2), ("부정", 0), ("중립 ", 1), ("\xa0긍정\r", 2)],
    *[("0.0", 0), ("1.0", 1), (" 2.0", 2), ("2.00", 2)],  # as pandas writes a column that once had gaps
    ("\u1100\u1173\u11bc\u110c\u1165\u11bc", 2),  # 긍정 as macOS writes it
]


@pytest.mark.parametrize(("text", "label"), LABELS)
def test_numbers_and_words(text: str, label: int) -> None:
    assert parse_label(text) == label


@pytest.mark.parametrize(
    "text", ["", "3", "-1", "1.5", "2.", "3.0", "1.0.0", "좋음", "부정 중립", "²", "٢", "01", "nan"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="use 0 부정, 1 중립, 2 긍정"):
        parse_label(text)
