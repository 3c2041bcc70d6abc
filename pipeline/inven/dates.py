"""Inven's dates (KST): a list shows HH:MM for today and yesterday, MM-DD before; an article shows all of it.

The list's dates are hints only (no day on HH:MM, no year on MM-DD); the article's date is the authority.
"""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from pipeline.clock import KST

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_DAY = re.compile(r"(?:([0-9]{4})[-./])?(0?[1-9]|1[0-2])[-./]([0-3]?[0-9])")
_FULL = re.compile(r"([0-9]{4})[-./]([0-9]{1,2})[-./]([0-9]{1,2})\s+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
# A row this much ahead of our clock is the site's clock running ahead, not yesterday's post.
_SKEW = timedelta(minutes=10)
_YEARS_BACK = 8  # the longest way from a 29 February to the one before


def article_date(text: str) -> datetime | None:
    """The first `YYYY-MM-DD HH:MM[:SS]` in a text as aware KST, or None."""
    match = _FULL.search(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=KST)
    except ValueError:
        return None


def list_hints(texts: Sequence[str], fetched_at: datetime) -> list[datetime | None]:
    """When the rows of a list page were posted, top to bottom (newest first); None where that can't be told.

    Walking down, a clock value that rises has crossed midnight: rows of yesterday morning look like today's.
    """
    here = fetched_at.astimezone(KST)
    day = here.date()
    above: datetime | None = None
    hints: list[datetime | None] = []
    for text in texts:
        text = text.strip()
        if match := _CLOCK.fullmatch(text):
            moment = datetime(day.year, day.month, day.day, int(match[1]), int(match[2]), tzinfo=KST)
            if (above is None and moment > here + _SKEW) or (above is not None and moment > above):
                day -= timedelta(days=1)
                moment -= timedelta(days=1)
            above = moment
            # Two days are shown by the clock. A third means that the rows are not in order of time.
            hints.append(moment if day >= here.date() - timedelta(days=1) else None)
        elif match := _DAY.fullmatch(text):
            hints.append(_midnight(match[1], int(match[2]), int(match[3]), here.date()))
        else:
            hints.append(None)
    return hints


def _midnight(year: str | None, month: int, day: int, today: date) -> datetime | None:
    """The day's first moment; without a year, in the latest year that does not lie in the future."""
    years = [int(year)] if year else range(today.year, today.year - _YEARS_BACK - 1, -1)
    for candidate in years:
        try:
            moment = datetime(candidate, month, day, tzinfo=KST)
        except ValueError:
            continue
        if year or moment.date() <= today:
            return moment
    return None
