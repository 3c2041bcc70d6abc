"""The site's dates: the reference's cases, every list that a clock can make, and any text at all."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clock import KST
from pipeline.inven.dates import article_date, list_hints

MOMENTS = st.datetimes(datetime(2001, 1, 2), datetime(2099, 12, 31)).map(lambda moment: moment.replace(tzinfo=KST))
GAPS = st.sampled_from([0, 1, 24 * 60 - 1]) | st.integers(0, 24 * 60 - 1)  # minutes between two posts
# Characters that dates are made of, and some that they are not.
ALMOST_DATES = st.text("0123456789:-./ 년\x00٣", max_size=24)


def shown(moment: datetime, now: datetime) -> str:
    """How the list shows a post's time: by the clock today and yesterday, by the day before that."""
    return f"{moment:%H:%M}" if moment.date() >= now.date() - timedelta(days=1) else f"{moment:%m-%d}"


@given(MOMENTS, st.integers(0, 23 * 60 + 49), st.lists(GAPS, max_size=60))
def test_a_list_with_a_post_every_day_is_dated_exactly(now: datetime, age: int, gaps: list[int]) -> None:
    """Whatever the hour: with less than a day between two rows, each midnight shows as a clock that rises."""
    moments = [now - timedelta(minutes=age)]
    for gap in gaps:
        moments.append(moments[-1] - timedelta(minutes=gap))
    days_ago = now.date() - timedelta(days=1)
    expected = [
        moment.replace(second=0, microsecond=0)
        if moment.date() >= days_ago
        else moment.replace(hour=0, minute=0, second=0, microsecond=0)
        for moment in moments
    ]
    assert list_hints([shown(moment, now) for moment in moments], now) == expected


@given(MOMENTS, st.lists(ALMOST_DATES | st.text(max_size=10), max_size=20))
def test_any_text_gives_a_hint_or_none(now: datetime, texts: list[str]) -> None:
    hints = list_hints(texts, now)
    assert len(hints) == len(texts)
    assert all(hint is None or hint.tzinfo is KST for hint in hints)


@given(MOMENTS, st.text("가 :-\x00", max_size=9), st.text("가 -\x00", max_size=9), st.booleans())
def test_an_articles_date_is_read_among_other_words(moment: datetime, left: str, right: str, seconds: bool) -> None:
    text = f"{moment:%Y-%m-%d %H:%M:%S}" if seconds else f"{moment:%Y-%m-%d %H:%M}"
    expected = moment.replace(microsecond=0) if seconds else moment.replace(second=0, microsecond=0)
    assert article_date(f"{left}{text}{right}") == expected


@given(ALMOST_DATES)
def test_almost_a_date_is_a_date_or_none(text: str) -> None:
    found = article_date(text)
    assert found is None or found.tzinfo is KST


def test_clock_rows_span_two_days() -> None:
    # The order of rows in a page saved on 29 January, shortly after 10:52.
    texts = ["09:09", "03:43", "03:37", "20:41", "17:36", "05:25", "03:55", "00:31", "01-27"]
    hints = list_hints(texts, datetime(2026, 1, 29, 10, 52, tzinfo=KST))
    assert [hint.day for hint in hints if hint] == [29, 29, 29, 28, 28, 28, 28, 28, 27]


def test_a_first_row_later_than_now_is_yesterdays() -> None:
    midnight = datetime(2026, 3, 1, 0, 3, tzinfo=KST)
    hints = list_hints(["23:58", "23:50"], midnight)
    assert hints[0] == datetime(2026, 2, 28, 23, 58, tzinfo=KST)


def test_a_site_clock_a_little_ahead_is_still_today() -> None:
    now = datetime(2026, 3, 1, 12, 0, tzinfo=KST)
    assert list_hints(["12:04"], now) == [datetime(2026, 3, 1, 12, 4, tzinfo=KST)]


def test_days_take_the_latest_year_that_is_not_to_come() -> None:
    now = datetime(2026, 1, 2, 10, 0, tzinfo=KST)
    hints = list_hints(["01-02", "12-31", "02-29", "2023-05-06", "13-01", "soon", ""], now)
    assert [hint.date().isoformat() if hint else None for hint in hints] == [
        "2026-01-02",
        "2025-12-31",
        "2024-02-29",
        "2023-05-06",
        None,
        None,
        None,
    ]


def test_hints_of_a_third_day_by_the_clock_are_none() -> None:
    hints = list_hints(["10:00", "11:00", "12:00"], datetime(2026, 1, 9, 10, 30, tzinfo=KST))
    assert hints[2] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-28 13:28:48", datetime(2026, 1, 28, 13, 28, 48, tzinfo=KST)),
        ("등록일 2026-01-28 13:28 수정", datetime(2026, 1, 28, 13, 28, tzinfo=KST)),
        ("2026-02-30 13:28", None),
        ("13:28", None),
    ],
)
def test_article_dates(text: str, expected: datetime | None) -> None:
    assert article_date(text) == expected
