"""The gate: is there something to freeze or to learn? One look at the world, no memory of its own."""

from dataclasses import dataclass

from pipeline.freeze.repository import Repository
from pipeline.live.store import Store


@dataclass(frozen=True, slots=True)
class Due:
    """What the world holds. Numbers of chunks and archives that are assigned but not tagged yet are `open_…`."""

    posts: int
    posts_needed: int
    corrections: int
    corrections_needed: int
    open_chunks: tuple[int, ...]
    open_archives: tuple[int, ...]
    untrained: tuple[str, ...]

    @property
    def anything(self) -> bool:
        """Whether a run has work to do."""
        return bool(
            self.posts >= self.posts_needed
            or self.corrections >= self.corrections_needed
            or self.open_chunks
            or self.open_archives
            or self.untrained
        )

    def __str__(self) -> str:
        """`412/1,000 posts, 12/100 corrections`, and what was left unfinished."""
        text = (
            f"{self.posts:,}/{self.posts_needed:,} posts, {self.corrections:,}/{self.corrections_needed:,} corrections"
        )
        for name, items in (("chunks", self.open_chunks), ("archives", self.open_archives)):
            if items:
                text += f", unfinished {name} {', '.join(f'{item:04d}' for item in items)}"
        return text + (f", not learned yet: {', '.join(self.untrained)}" if self.untrained else "")


def look(store: Store, repository: Repository, *, posts_needed: int, corrections_needed: int) -> Due:
    """What is due now. Two indexed counts and a few Git tag look-ups, however much is stored."""
    posts, corrections = store.count_pending()
    return Due(
        posts=posts,
        posts_needed=posts_needed,
        corrections=corrections,
        corrections_needed=corrections_needed,
        open_chunks=tuple(range(repository.last_number("chunk") + 1, store.last_chunk() + 1)),
        open_archives=tuple(range(repository.last_number("feedback") + 1, store.last_archive() + 1)),
        untrained=tuple(repository.untrained()),
    )
