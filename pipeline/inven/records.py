"""What Inven's pages say, as typed records. Nicknames are not among it: they are never read."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

# Why a post counts as gone. The second is weaker evidence: it also fits a site that changed altogether.
GONE_SAID = "the site says that the page cannot be found"
GONE_UNEXPLAINED = "there is no article on the page, and nothing that says why"

FailureKind = Literal["gone", "login", "drift", "excess", "refused", "unavailable"]


@dataclass(frozen=True, slots=True)
class ListRow:
    """One post on a list page. `posted_at_hint` (KST) is a guess from a date without year or day.

    Counts are 0 where the page shows none.
    """

    board_id: int
    post_id: int
    category: str | None
    title: str
    date_text: str
    posted_at_hint: datetime | None
    views: int
    recommends: int
    comments: int


@dataclass(frozen=True, slots=True)
class ListPage:
    """A list page: its posts from top to bottom without notices, and how many notices stood among them.

    `unread` counts rows that could not be read. No rows is what a page beyond the last one looks like.
    """

    board_id: int
    page: int
    rows: tuple[ListRow, ...]
    notices: int
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Article:
    """One post. `body` is "" when it has only pictures; `posted_at` is aware, KST.

    `remark` says what was odd about the page although it could be read, "" when nothing was.
    """

    board_id: int
    post_id: int
    category: str | None
    title: str
    body: str
    posted_at: datetime
    views: int
    recommends: int
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A page that gave no record, and why.

    gone: deleted, or never there. login: shown to members only. drift: the markup is not the one we know, or
    the answer is not a page. excess: more markup than any post has (`pipeline.inven.markup`); it is not asked for
    again. refused: HTTP 403 or 429 to the last. unavailable: no answer to any attempt.
    `content` is the answer as it came, for quarantine.
    """

    kind: FailureKind
    url: str
    detail: str
    content: bytes = field(default=b"", repr=False, compare=False)
