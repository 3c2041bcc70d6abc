"""Time is Korean: aware datetimes in Asia/Seoul, written as ISO 8601 with +09:00 and whole seconds."""

from datetime import datetime
from zoneinfo import ZoneInfo

KST = ZoneInfo("Asia/Seoul")


def now() -> datetime:
    """The present, aware, in KST, cut to whole seconds."""
    return datetime.now(KST).replace(microsecond=0)


def iso(moment: datetime) -> str:
    """`2026-11-22T15:45:00+09:00`. Raises ValueError for a datetime without a time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone: times of this project are aware (KST)")
    return moment.astimezone(KST).isoformat(timespec="seconds")


def parse_iso(text: str) -> datetime:
    """The aware KST datetime of an ISO 8601 string with an offset. Raises ValueError without one."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset: times of this project are written with +09:00")
    return moment.astimezone(KST)


def version_stamp(moment: datetime) -> str:
    """A model version: `20261122T154500` (KST)."""
    return moment.astimezone(KST).strftime("%Y%m%dT%H%M%S")
