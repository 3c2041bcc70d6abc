"""The three labels."""

import pytest

from pipeline.labels import NEGATIVE, NEUTRAL, POSITIVE, SENTIMENTS, parse_label


def test_order_is_the_projects() -> None:
    assert (NEGATIVE, NEUTRAL, POSITIVE) == (0, 1, 2)
    assert SENTIMENTS == ("부정", "중립", "긍정")


@pytest.mark.parametrize(("text", "label"), [("0", 0), (" 1 ", 1), ("2\n", 2), ("부정", 0), ("중립 ", 1), ("긍정", 2)])
def test_numbers_and_words(text: str, label: int) -> None:
    assert parse_label(text) == label


@pytest.mark.parametrize("text", ["", "3", "-1", "1.0", "좋음", "부정 중립", "²", "٢", "01"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="use 0 부정, 1 중립, 2 긍정"):
        parse_label(text)
