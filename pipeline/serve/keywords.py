"""What a selection of posts talks about more than the others, and the word cloud of it.

Words are counted once a post, so that one shouting post makes no keyword. Scores are log-odds ratios with an
informative Dirichlet prior (Monroe, Colaresi & Quinn 2008, "Fightin' Words", eq. 16, 20 and 22): unlike raw
counts they do not favour words that everyone uses, unlike plain ratios they do not favour rare ones.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.files import DataFileError, read_text
from pipeline.layout import STOPWORDS_FILE
from pipeline.text import normalise

log = logging.getLogger(__name__)

# Strength of the prior, in words (Monroe et al. use 500 too). A selection of fewer words gets a prior of as
# many as it has: what everybody says then weighs half, and never drowns it.
PRIOR_WORDS = 500.0
MIN_Z = 1.0  # below one standard deviation a word stands out by chance


@dataclass(frozen=True, slots=True)
class Keyword:
    """One keyword of a selection.

    `posts` have it, `share` of the selection's posts (0..1). `z` is the log-odds z-score against the other
    posts, None when there was nothing to compare with. `lean` is the mean mood of its posts, -1 (부정) to
    1 (긍정); 0 when none of them has been judged.
    """

    word: str
    posts: int
    share: float
    z: float | None
    lean: float


def load_stopwords(path: Path = STOPWORDS_FILE) -> frozenset[str]:
    """The words that are never keywords, one a line. Raises DataFileError."""
    return frozenset(normalise(read_text(path)).split())


class Stopwords:
    """The list of a running page, read anew when the file changes. While that can't be read the old one stays."""

    def __init__(self, path: Path = STOPWORDS_FILE) -> None:
        """Raises DataFileError."""
        self._path = path
        self._seen = _stamp(path)
        self._words = load_stopwords(path)

    def __call__(self) -> frozenset[str]:
        """The words as the file has them now."""
        seen = _stamp(self._path)
        if seen != self._seen:
            self._seen = seen
            try:
                self._words = load_stopwords(self._path)
            except DataFileError as error:
                log.error("the stop words stay as they were: %s", error)
        return self._words


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def count_words(posts: pl.DataFrame, stopwords: Collection[str] = ()) -> pl.DataFrame:
    """Of posts with `keywords` (space-separated or null) and `label` (0, 1, 2 or null), a row per word.

    Columns: `word`; `posts`, how many have it; `lean`, the mean of label - 1 over those that are judged.
    """
    return (
        posts.lazy()
        .select(
            pl.col("keywords").cast(pl.String).str.split(" ").list.unique().alias("word"),
            (pl.col("label").cast(pl.Int64) - 1).alias("lean"),
        )
        .explode("word")
        .filter(pl.col("word").is_not_null() & (pl.col("word") != ""))
        .filter(~pl.col("word").is_in(list(stopwords)))
        .group_by("word")
        .agg(pl.len().cast(pl.Int64).alias("posts"), pl.col("lean").mean().fill_null(0.0))
        .collect()
    )


def log_odds(here: np.ndarray, there: np.ndarray, prior_words: float = PRIOR_WORDS) -> np.ndarray:
    """z-scores of words by their counts here and there, both of shape (words,), floats or integers.

    The prior of a word is its share of both together, `prior_words` words in all. Positive: more usual here.
    """
    here, there = here.astype(float), there.astype(float)
    both = here + there
    prior = prior_words * both / both.sum()
    ours, theirs = here + prior, there + prior
    ours_total, theirs_total = here.sum() + prior_words, there.sum() + prior_words
    delta = np.log(ours / (ours_total - ours)) - np.log(theirs / (theirs_total - theirs))
    return np.asarray(delta / np.sqrt(1 / ours + 1 / theirs))


def keywords(
    selection: pl.DataFrame,
    rest: pl.DataFrame,
    *,
    stopwords: Collection[str] = (),
    min_posts: int = 3,
    min_z: float = MIN_Z,
    limit: int = 60,
) -> list[Keyword]:
    """The selection's keywords, best first: at least `min_posts` posts, and `min_z` against `rest`.

    Both frames as for `count_words`. With an empty `rest` the words that most posts have.
    """
    counts = count_words(selection, stopwords)
    if counts.is_empty():
        return []
    others = count_words(rest, stopwords).select("word", pl.col("posts").alias("elsewhere"))
    if others.is_empty():
        ranked = counts.filter(pl.col("posts") >= min_posts).with_columns(pl.lit(None, pl.Float64).alias("z"))
    else:
        both = counts.join(others, on="word", how="full", coalesce=True).with_columns(
            pl.col("posts", "elsewhere").fill_null(0)
        )
        # With a single word in all, odds have nothing to stand against.
        if both.height < 2:
            return []
        here, there = both["posts"].to_numpy(), both["elsewhere"].to_numpy()
        z = log_odds(here, there, min(PRIOR_WORDS, float(here.sum())))
        ranked = both.with_columns(pl.Series("z", z)).filter((pl.col("posts") >= min_posts) & (pl.col("z") >= min_z))
    ranked = ranked.sort(["z", "posts", "word"], descending=[True, True, False]).head(limit)
    return [
        Keyword(row["word"], row["posts"], row["posts"] / selection.height, row["z"], row["lean"])
        for row in ranked.iter_rows(named=True)
    ]
