"""Section `crawl` of params.yaml."""

from dataclasses import dataclass

from pipeline.params import AtLeastOne, Count, NotNegative


@dataclass(frozen=True, slots=True)
class CrawlParams:
    """What each value means, and its unit, stands beside it in params.yaml."""

    boards: tuple[int, ...]
    max_pages: AtLeastOne
    expected_new: NotNegative
    max_wait: NotNegative
    min_interval: NotNegative
    jitter: NotNegative
    reread_age: NotNegative
    reread_posts: Count
    comments: bool
    comments_as_posts: bool
