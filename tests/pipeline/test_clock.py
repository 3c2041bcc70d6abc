"""Time is Korean, aware, and whole seconds."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline import clock


def test_now_is_korean_and_whole() -> None:
    moment = clock.now()
    assert moment.utcoffset() == timedelta(hours=9)
    assert moment.microsecond == 0
    assert abs(datetime.now(UTC) - moment) < timedelta(seconds=5)


def test_iso_turns_other_zones_into_korean_time() -> None:
    assert clock.iso(datetime(2026, 11, 22, 15, 30, 59, 999_999, tzinfo=UTC)) == "2026-11-23T00:30:59+09:00"


def test_iso_and_back() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=clock.KST)
    assert clock.parse_iso(clock.iso(moment)) == moment
    assert clock.parse_iso("2026-01-01T18:04:05+00:00").isoformat() == "2026-01-02T03:04:05+09:00"
    assert clock.parse_iso("2026-01-01T18:04:05Z") == moment


@pytest.mark.parametrize("year", [1, 1900, 1907, 1911, 1955, 1988, 2026, 9999])
def test_every_year_has_the_same_offset_and_length(year: int) -> None:
    """Seoul's own offsets were +08:27:52 before 1908 and +10:00 in summer 1988: 28 characters, and out of order."""
    moment = datetime(year, 7, 1, 12, tzinfo=clock.KST)
    written = clock.iso(moment)
    assert written == f"{year:04d}-07-01T12:00:00+09:00"
    assert len(written) == 25
    assert clock.parse_iso(written) == moment


def test_the_ends_of_time_are_a_value_error() -> None:
    assert clock.iso(datetime.max.replace(tzinfo=clock.KST)) == "9999-12-31T23:59:59+09:00"
    with pytest.raises(ValueError, match="no Korean time"):
        clock.iso(datetime.max.replace(tzinfo=UTC))
    with pytest.raises(ValueError, match="no Korean time"):
        clock.parse_iso("0001-01-01T00:00:00+14:00")


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        clock.iso(datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="no UTC offset"):
        clock.parse_iso("2026-01-01T00:00:00")
    with pytest.raises(ValueError, match="Invalid isoformat"):
        clock.parse_iso("어제 3시")


def test_version_stamp_is_korean_time() -> None:
    assert clock.version_stamp(datetime(2026, 11, 22, 6, 45, tzinfo=UTC)) == "20261122T154500"
