"""Reading stored posts once more: an edited one shows what it says now, a deleted one does not show any more.

A list page says at no cost which posts it calls otherwise than before, and which it leaves out. What a list can't say
is seen when a post has come to a certain age: it is read once more then.
"""

import logging
from datetime import timedelta

from pipeline.inven.records import GONE_UNEXPLAINED, Article
from pipeline.inven.walk import STRANGE, Walk, text_of

log = logging.getLogger("pipeline.inven.crawl")

_LOOKED_AT = 1000  # posts that have come of age, in one run: those collected late are passed over without a request


async def reread(walk: Walk, age: timedelta, most: int) -> None:
    """Read stored posts once more, `most` at most: those with another title on the list now, then those of this age.

    Of the latter each one once (0: never), and none that was older when it was collected. What they say now replaces
    what they said (`pipeline.live.changes`). A page that can't be read changes nothing; three in a row end it.
    """
    again = _Again(walk, most)
    for post_id in sorted(walk.retitled, reverse=True):
        if not again.may_go_on:
            return
        await again.read(post_id)
    if not age:
        return
    now = walk.client.wall()
    place = walk.store.reread_place(walk.board)
    if place is None or place[0] > now:  # the first time; or a clock was wrong
        place = now - 2 * age, 0
    passed = place
    for posted_at, post_id, collected_at in walk.store.posts_to_reread(walk.board, place, now - age, _LOOKED_AT):
        if collected_at - posted_at < age:
            if not again.may_go_on:
                break
            await again.read(post_id)
            walk.store.set_reread_place(walk.board, (posted_at, post_id))
        passed = posted_at, post_id
    if passed != place:
        walk.store.set_reread_place(walk.board, passed)


class _Again:
    """One run's readings, and what they found."""

    def __init__(self, walk: Walk, most: int) -> None:
        self._walk = walk
        self._left = most
        self._odd = 0  # in a row
        self._doubtful: list[int] = []  # gone, with nothing that says why

    @property
    def may_go_on(self) -> bool:
        """Whether another post may be read."""
        return self._left > 0 and self._odd < STRANGE

    async def read(self, post_id: int) -> None:
        """Read a stored post, and note what has become of it."""
        self._left -= 1
        walk, store = self._walk, self._walk.store
        result = await walk.client.get_article(walk.board, post_id)
        if isinstance(result, Article):
            self._odd = 0
            self._gone(self._doubtful)  # the site is in order
            self._doubtful = []
            row = walk.retitled.get(post_id)
            old = store.texts(walk.board, [post_id]).get(post_id)
            if old is not None:
                text = text_of(
                    walk.board, result, row.category if row else old.category, row.title if row else old.title
                )
                walk.edited += store.note_read(walk.board, post_id, text, row.title if row else None)
        elif result.kind == "gone" and result.detail != GONE_UNEXPLAINED:
            self._gone([post_id])
        else:
            self._odd += 1
            log.warning("%s can't be read once more: %s", result.url, result.detail)
            if result.kind == "gone":
                self._doubtful.append(post_id)

    def _gone(self, post_ids: list[int]) -> None:
        if post_ids:
            self._walk.store.note_gone(self._walk.board, post_ids)
            self._walk.deleted += len(post_ids)
