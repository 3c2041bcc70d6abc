"""Time is Korean: aware datetimes at UTC+9, written as ISO 8601 with +09:00 and whole seconds.

The offset is the same for every year. Seoul's own history has others (+08:27:52 before 1908, +10:00 in the summers of
1987 and 1988): with them stored times would neither sort as text nor fit 25 characters.
"""

from datetime import datetime, timedelta, timezone

KST = timezone(timedelta(hours=9), "KST")


def now() -> datetime:
    """The present, aware, in KST, cut to whole seconds."""
    return datetime.now(KST).replace(microsecond=0)


def iso(moment: datetime) -> str:
    """`2026-11-22T15:45:00+09:00`: 25 characters. Raises ValueError for a datetime without a time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone: times of this project are aware (KST)")
    return _korean(moment).isoformat(timespec="seconds")


def parse_iso(text: str) -> datetime:
    """The aware KST datetime of an ISO 8601 string with an offset. Raises ValueError without one."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset: times of this project are written with +09:00")
    return _korean(moment)


def version_stamp(moment: datetime) -> str:
    """A model version: `20261122T154500` (KST)."""
    return moment.astimezone(KST).strftime("%Y%m%dT%H%M%S")


def _korean(moment: datetime) -> datetime:
    try:
        return moment.astimezone(KST)
    except OverflowError:  # hours from the first or the last year that Python knows
        raise ValueError(f"{moment!r} has no Korean time between the years 1 and 9999") from None
