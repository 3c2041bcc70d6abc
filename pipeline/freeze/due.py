"""The gate: is there something to freeze or to learn? One look at the world, no memory of its own."""

from dataclasses import dataclass

from pipeline.freeze.numbers import open_archives, open_chunks
from pipeline.freeze.repository import Repository
from pipeline.layout import CANDIDATE, PRODUCTION
from pipeline.live.store import Store
from pipeline.model.features import is_outdated


@dataclass(frozen=True, slots=True)
class Due:
    """What the world holds. Chunks and archives that are assigned but not frozen on this branch are `open_…`.

    `posts` are pending ones of late, `old_posts` those of a backfill, which fill chunks of their own. `unfinished`: a
    run was killed and left something to be cleared away. `outdated`: this code can't read the model in production.
    """

    posts: int
    posts_needed: int
    corrections: int
    corrections_needed: int
    open_chunks: tuple[int, ...]
    open_archives: tuple[int, ...]
    untrained: tuple[str, ...]
    old_posts: int = 0
    unfinished: bool = False
    outdated: bool = False

    @property
    def anything(self) -> bool:
        """Whether a run has work to do."""
        return bool(
            max(self.posts, self.old_posts) >= self.posts_needed
            or self.corrections >= self.corrections_needed
            or self.open_chunks
            or self.open_archives
            or self.untrained
            or self.unfinished
            or self.outdated
        )

    def __str__(self) -> str:
        """`412/1,000 posts, 12/100 corrections`, and what was left unfinished."""
        text = (
            f"{self.posts:,}/{self.posts_needed:,} posts, {self.corrections:,}/{self.corrections_needed:,} corrections"
        )
        if self.old_posts:
            text += f", {self.old_posts:,}/{self.posts_needed:,} older posts"
        for name, items in (("chunks", self.open_chunks), ("archives", self.open_archives)):
            if items:
                text += f", unfinished {name} {', '.join(f'{item:04d}' for item in items)}"
        if self.untrained:
            text += f", not learned yet: {', '.join(self.untrained)}"
        if self.outdated:
            text += ", the model in production is of another features version than this code"
        return text + (", a killed run to clear up after" if self.unfinished else "")


def look(store: Store, repository: Repository, *, posts_needed: int, corrections_needed: int) -> Due:
    """What is due now. A few indexed counts and one look at Git's history, however much is stored."""
    posts, old_posts = store.count_waiting(posts_needed)
    _, corrections = store.count_pending()
    return Due(
        posts=posts,
        posts_needed=posts_needed,
        corrections=corrections,
        corrections_needed=corrections_needed,
        open_chunks=tuple(open_chunks(store, repository)),
        open_archives=tuple(open_archives(store, repository)),
        untrained=tuple(repository.untrained()),
        old_posts=old_posts,
        unfinished=repository.unfinished(),
        outdated=is_outdated(repository.root / PRODUCTION, repository.root / CANDIDATE),
    )
