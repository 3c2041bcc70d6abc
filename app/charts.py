"""From rows of posts to the frames that the dashboard shows. Pure functions; nothing here knows Gradio.

Shares are of the posts that have been judged, 0..1; a post without a label counts as a post only.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from app.cloud import lean_name
from pipeline.addresses import is_on_the_site
from pipeline.boards import GROUPS, JOBS
from pipeline.labels import NEGATIVE, NEUTRAL, POSITIVE, SENTIMENTS
from pipeline.serve.keywords import Keyword

ALL = "전체"
NO_GROUP = "자유 게시판"  # posts of no job group all come from there
NO_JOB = "직업 미분류"
FEW = 5  # judged posts; below it a share says more about chance than about a job
SOURCES = {"human": "사람", "llm": "LLM", "model": "모델"}
# Shape and word beside the colour: no mood is told by colour alone.
MOODS = tuple(f"{mark} {name}" for mark, name in zip(("▼", "■", "▲"), SENTIMENTS, strict=True))  # by label
NOT_JUDGED = "판단 전"

_SCHEMA = {
    "board_id": pl.Int64,
    "post_id": pl.Int64,
    "job_group": pl.String,
    "job": pl.String,
    "title": pl.String,
    "url": pl.String,
    "posted_at": pl.String,
    "keywords": pl.String,
    "label": pl.Int64,
    "source": pl.String,
}
# A link goes into a Markdown cell: an address with anything that Markdown could read is shown as none.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d{1,5})?/[A-Za-z0-9/_.?=&%-]*")

NEWEST_COLUMNS = ("제목", "분위기", "직업", "판단", "작성", "원문")
KEYWORD_COLUMNS = ("낱말", "글", "비율", "특징도", "분위기")


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers at the top: posts, days of the first and last one (KST), posts per label and per source."""

    posts: int
    first: date | None
    last: date | None
    moods: tuple[int, int, int]
    sources: tuple[int, int, int]  # by people, by the LLM, by the model

    @property
    def judged(self) -> int:
        """How many posts have a mood."""
        return sum(self.moods)


def posts_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """`Store.moods` rows as a frame, with posts of no group or job under a name of their own."""
    frame = pl.DataFrame(rows, schema=_SCHEMA)
    return frame.with_columns(pl.col("job_group").fill_null(NO_GROUP), pl.col("job").fill_null(NO_JOB))


def select(frame: pl.DataFrame, group: str = ALL, job: str = ALL) -> pl.DataFrame:
    """The posts of a job group and of a job; `전체` takes every one."""
    if group != ALL:
        frame = frame.filter(pl.col("job_group") == group)
    if job != ALL:
        frame = frame.filter(pl.col("job") == job)
    return frame


def figures(frame: pl.DataFrame) -> Figures:
    """The header's numbers for these posts."""
    times = frame.select(pl.col("posted_at").min().alias("first"), pl.col("posted_at").max().alias("last"))
    first, last = times.row(0)
    return Figures(
        posts=frame.height,
        first=date.fromisoformat(first[:10]) if first else None,
        last=date.fromisoformat(last[:10]) if last else None,
        moods=(
            frame.filter(pl.col("label") == NEGATIVE).height,
            frame.filter(pl.col("label") == NEUTRAL).height,
            frame.filter(pl.col("label") == POSITIVE).height,
        ),
        sources=(
            frame.filter(pl.col("source") == "human").height,
            frame.filter(pl.col("source") == "llm").height,
            frame.filter(pl.col("source") == "model").height,
        ),
    )


def shares(frame: pl.DataFrame, by: str) -> pl.DataFrame:
    """The mood of each `job_group` or `job`: name, posts, judged, negative, neutral, positive (0..1), few.

    Groups stand in the domain's order, jobs by number of posts; those with fewer than FEW judged posts last
    (`few`). Shares are null where nothing has been judged.
    """
    table = (
        frame.group_by(pl.col(by).alias("name"))
        .agg(
            pl.len().cast(pl.Int64).alias("posts"),
            pl.col("label").count().cast(pl.Int64).alias("judged"),
            *(
                (pl.col("label") == label).mean().alias(name)
                for label, name in ((NEGATIVE, "negative"), (NEUTRAL, "neutral"), (POSITIVE, "positive"))
            ),
        )
        .with_columns((pl.col("judged") < FEW).alias("few"))
    )
    if by == "job_group":
        order = pl.Enum([*GROUPS, NO_GROUP])
        return table.sort(pl.col("name").cast(order, strict=False))
    order = pl.Enum([*(entry.name for entry in JOBS), NO_JOB])
    return table.sort("few", pl.col("name") == NO_JOB, -pl.col("posts"), pl.col("name").cast(order, strict=False))


def newest(frame: pl.DataFrame, limit: int = 30) -> pl.DataFrame:
    """The newest posts as text: title, mood, job, who judged, when (KST), a Markdown link (or nothing)."""
    top = frame.sort("posted_at", "post_id", descending=True).head(limit)
    rows = [
        (
            row["title"],
            MOODS[row["label"]] if row["label"] is not None else NOT_JUDGED,
            row["job"] if row["job"] != NO_JOB else row["job_group"],
            SOURCES.get(row["source"] or "", "–"),
            f"{row['posted_at'][5:10]} {row['posted_at'][11:16]}",
            link(row["url"], "보기"),
        )
        for row in top.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(NEWEST_COLUMNS, pl.String), orient="row")


def link(url: str, name: str) -> str:
    """A Markdown link, nothing when the address is not a plain one or leads away from the site.

    Databases hold addresses that were imported before hosts were checked.
    """
    return f"[{name}]({url})" if _ADDRESS.fullmatch(url) and is_on_the_site(url) else ""


def keyword_table(rows: Sequence[Keyword]) -> pl.DataFrame:
    """Keywords as text: word, posts, share of posts, z-score, the mood they lean to."""
    table = [
        (
            row.word,
            f"{row.posts:,}",
            f"{row.share:.0%}",
            "–" if row.z is None else f"{row.z:.1f}",
            f"{MOODS[SENTIMENTS.index(lean_name(row.lean))]} {row.lean:+.2f}",
        )
        for row in rows
    ]
    return pl.DataFrame(table, schema=dict.fromkeys(KEYWORD_COLUMNS, pl.String), orient="row")
