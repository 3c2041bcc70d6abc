"""When a board is worth a visit: when enough new posts are to be expected on it, or nobody has looked for long.

How many to expect follows from the stored posts themselves: how many were posted in the time before the last visit
and, because mornings are not like nights, in the time after the same moment yesterday; the larger rate counts. Nothing
else is remembered, so a change in `params.yaml` takes effect with the next run. A remembered time that lies further
ahead than it can is the work of a clock that was wrong, and is not believed.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline.inven import gaps
from pipeline.inven.client import COOL_DOWN
from pipeline.live.records import Visit
from pipeline.live.store import Store

DAY = timedelta(days=1)
LONGEST_BLOCK = timedelta(seconds=2 * COOL_DOWN)  # twice what is ever asked for: clocks are set back a little, too


@dataclass(frozen=True, slots=True)
class Outlook:
    """Whether a board is to be visited now, and why, for people to read. `blocked`: it is left alone for a while."""

    due: bool
    why: str
    blocked: bool = False


def outlook(store: Store, board_id: int, now: datetime, *, expected_new: float, max_wait: float) -> Outlook:
    """Look at a board without asking the site.

    It is due when about `expected_new` new posts are to be expected, `max_wait` minutes after the last visit at the
    latest, whenever the last visit did not end well, and as long as it has a gap (`pipeline.inven.gaps`). A board that
    has begun to refuse us is left alone first.
    """
    visit = store.last_visit(board_id)
    if visit.blocked_until is not None and now < visit.blocked_until < now + LONGEST_BLOCK:
        return Outlook(False, f"left alone until {visit.blocked_until:%H:%M}: it refused us", blocked=True)
    if visit.began is None:
        return Outlook(True, "not visited yet, or the last visit did not end well")
    progress = store.progress(board_id)
    if progress and progress.gaps:
        return Outlook(True, f"a gap of up to {gaps.ids(progress.gaps):,} posts is to be filled")
    longest = timedelta(minutes=max_wait)
    waited = now - visit.began
    if waited >= longest or waited < timedelta():  # from the future: a clock was wrong
        return Outlook(True, f"last visited at {visit.began:%H:%M}")
    before = store.count_posted(board_id, visit.began - longest, visit.began)
    yesterday = store.count_posted(board_id, visit.began - DAY, visit.began - DAY + longest)
    expected = max(before, yesterday) * (waited / longest)
    return Outlook(expected >= expected_new, f"about {expected:.0f} new posts expected since {visit.began:%H:%M}")


def begin(store: Store, board_id: int) -> None:
    """A visit begins: until it has ended well, the board stays due."""
    store.set_visit(board_id, replace(store.last_visit(board_id), began=None))


def end(store: Store, board_id: int, began: datetime) -> None:
    """A visit has ended well."""
    store.set_visit(board_id, Visit(began))


def block(store: Store, board_id: int, until: datetime) -> None:
    """A board refuses us: leave it alone until then, in this run and in later ones."""
    store.set_visit(board_id, Visit(None, until))
