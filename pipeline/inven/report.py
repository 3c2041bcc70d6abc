"""What a walk over a board did, as numbers and as one line of a log."""

from dataclasses import dataclass

from pipeline import boards


@dataclass(frozen=True, slots=True)
class BoardReport:
    """What a walk did. `known`: listed posts settled before. `gone`: found deleted. `failed`: not read.

    `stopped` says why a walk ended early ("" if it did not). `gap` is how many ids no walk has listed yet, between
    posts that were (at least as many as there are posts): walks that `max_pages` ended left them, the next ones fill
    them; `gap_before`: when this walk began. `edited` and `deleted` count stored posts that say something else now, and
    that are not there any more. `drift` names the first PC page that has changed
    while the mobile site helps out. `odd` counts pages that could be read although something was odd about them, and
    `remark` says what it was on the first. `new_categories` are labels that the domain's table does not know.
    """

    board: int
    pages: int
    new: int
    known: int
    gone: int
    failed: int
    seconds: float
    stopped: str = ""
    gap: int = 0
    gap_before: int = 0
    edited: int = 0
    deleted: int = 0
    drift: str = ""
    comments: int = 0
    new_categories: tuple[str, ...] = ()
    odd: int = 0
    remark: str = ""

    def __str__(self) -> str:
        text = (
            f"{boards.board(self.board).name}: {self.new} new, {self.known} known, {self.gone} gone,"
            f" {self.failed} failed on {self.pages} pages in {self.seconds:.1f} s"
        )
        if self.gap:
            text += f"; a gap of up to {self.gap:,} posts is left for the next runs (max_pages)"
        elif self.gap_before:
            text += f"; a gap of up to {self.gap_before:,} posts is filled"
        if self.edited or self.deleted:
            text += f"; of those stored before {self.edited} edited, {self.deleted} deleted"
        if self.comments:
            text += f"; {self.comments} new comments"
        if self.new_categories:
            text += f"; new categories: {', '.join(self.new_categories)}"
        if self.odd:
            text += f"; {self.odd} odd pages, the first {self.remark}"
        if self.drift:
            text += f"; changed: {self.drift}"
        return f"{text}; stopped: {self.stopped}" if self.stopped else text
