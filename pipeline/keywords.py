"""What a selection of posts talks about more than the others, and the word cloud of it.

Words are counted once a post, so that one shouting post makes no keyword. Scores are log-odds ratios with an
informative Dirichlet prior (Monroe, Colaresi & Quinn 2008, "Fightin' Words", eq. 16, 20 and 22): unlike raw
counts they do not favour words that everyone uses, unlike plain ratios they do not favour rare ones.
"""

import importlib.util
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.errors import UserError
from pipeline.layout import STOPWORDS_FILE

# Strength of the prior, in words (Monroe et al. use 500 too). A selection of fewer words gets a prior of as
# many as it has: what everybody says then weighs half, and never drowns it.
PRIOR_WORDS = 500.0
MIN_Z = 1.0  # below one standard deviation a word stands out by chance
NEUTRAL_LEAN = 0.15  # |lean| below this is shown as neutral

# Okabe and Ito's colour-blind-safe blue and vermilion, darkened to 4.5:1 on white; grey lies between.
COLOURS = {"부정": "#b84a00", "중립": "#6b7280", "긍정": "#0067a8"}

_FONT_PACKAGE, _FONT_FILE = "pylopdf_fonts_ko", "NotoSansKR-Regular.otf"
_NANUM = (
    Path("/usr/share/fonts/truetype/nanum/NanumGothicBold.ttf"),
    Path("/usr/share/fonts/truetype/nanum/NanumGothic.ttf"),
)
# The fonts have no glyph for emoji; a token of nothing but signs is no word.
_DRAWABLE = re.compile(r"[0-9A-Za-z가-힣ㄱ-ㅎㅏ-ㅣ._%+-]*[0-9A-Za-z가-힣ㄱ-ㅎㅏ-ㅣ]+[0-9A-Za-z가-힣ㄱ-ㅎㅏ-ㅣ._%+-]*")


class FontMissing(UserError):
    """No font with Korean letters is installed. The message says how to get one."""


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
    """The words that are never keywords, one a line. Raises FileNotFoundError."""
    return frozenset(path.read_text(encoding="utf-8").split())


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


def font_path(environ: Mapping[str, str] | None = None) -> Path:
    """A font file with Korean letters: FONT_PATH, else the packaged Noto Sans KR, else Debian's Nanum.

    Raises FontMissing; also when FONT_PATH names no file, instead of quietly taking another.
    """
    chosen = (os.environ if environ is None else environ).get("FONT_PATH")
    if chosen:
        if Path(chosen).is_file():
            return Path(chosen)
        raise FontMissing(f"FONT_PATH={chosen!r} is not a file: set it to a .ttf or .otf with Korean letters")
    spec = importlib.util.find_spec(_FONT_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for found in Path(folder).rglob(_FONT_FILE):
            return found
    for path in _NANUM:
        if path.is_file():
            return path
    raise FontMissing(
        "no font with Korean letters: pip install pylopdf-fonts-ko, or apt-get install fonts-nanum, "
        "or set FONT_PATH to a .ttf or .otf file"
    )


def lean_name(lean: float) -> str:
    """부정, 중립 or 긍정: which way a keyword leans."""
    if abs(lean) < NEUTRAL_LEAN:
        return "중립"
    return "긍정" if lean > 0 else "부정"


def word_cloud(
    rows: Sequence[Keyword],
    *,
    font: Path | None = None,
    width: int = 900,
    height: int = 480,
    max_words: int = 60,
) -> np.ndarray | None:
    """The cloud as an RGB picture, (height, width, 3) of uint8, on white. The same rows give the same picture.

    Size follows z (posts, where there is none), colour the lean. None when no word can be drawn.
    """
    from wordcloud import WordCloud  # brings matplotlib: seconds that only a cloud should cost

    weights = {row.word: float(row.posts if row.z is None else row.z) for row in rows if _DRAWABLE.fullmatch(row.word)}
    weights = {word: weight for word, weight in weights.items() if weight > 0}
    if not weights:
        return None
    colours = {row.word: COLOURS[lean_name(row.lean)] for row in rows}

    def colour(word: str, **_: Any) -> str:
        return colours[word]

    cloud = WordCloud(
        font_path=str(font or font_path()),
        width=width,
        height=height,
        background_color="white",
        prefer_horizontal=1,  # a Korean word on its side is hard to read
        random_state=7,
        max_words=max_words,
        max_font_size=height // 4,
        min_font_size=12,
        relative_scaling=0.5,
        margin=6,
        color_func=colour,
    )
    return np.asarray(cloud.generate_from_frequencies(weights).to_array())
