"""Loop: does the whole loop lose or double a post, and where does its time go?

Crawls a replay over HTTP, cuts, labels with the LLM over HTTP, freezes, trains, evaluates and releases in a scratch
clone with real Git and DVC. Without arguments: the demo's posts and chunks of 120. With a file: real thresholds,

    make bench BENCH="loop --posts ../shared/data/steam_ko.tsv.gz --text-column document --count 1200 --chunk 1000
        --corrections 100 --general 1000"

The base model is in production before. `--corrections` gives so many of the first chunk's posts a label in turn (what
these are worth is not asked here), `--general` puts so many rated movie reviews in the place of the base file: with 100
and 1,000 a release is what it is in production.
The stages prepare and train run once more without DVC, right beside, as the baseline of what versioning costs.
"""

import argparse
import asyncio
import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sqlalchemy import select

from benchmarks.support import texts
from benchmarks.support.harness import ROOT, Row, report
from benchmarks.support.scratch import llm, replay, scratch_clone
from pipeline import errors, settings
from pipeline.files import csv_bytes, read_csv, write_bytes
from pipeline.freeze.commit import freeze_archive, freeze_chunk
from pipeline.freeze.cut import write_chunk
from pipeline.freeze.repository import Repository
from pipeline.inven.client import InvenClient
from pipeline.inven.crawl import crawl_board
from pipeline.inven.params import CrawlParams
from pipeline.label.chunk import label_chunk
from pipeline.layout import BASE_COLUMNS, BASE_FILE, CHUNK_COLUMNS, raw_path
from pipeline.live.records import Feedback
from pipeline.live.store import Store
from pipeline.live.tables import posts as posts_table
from pipeline.params import CatalogParams, read_params, read_section
from pipeline.release.model import begin_model, release_model
from pipeline.text import join_post


def main() -> None:
    """Run once, print the table, write benchmarks/results/loop.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop", description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=Path, default=ROOT / "demo" / "posts.jsonl", help="JSON Lines or (gzip) TSV")
    parser.add_argument("--text-column", help="the file is TSV; this column holds the texts")
    parser.add_argument("--count", type=int, default=360, help="posts of the file that are served")
    parser.add_argument("--chunk", type=int, default=120, help="posts a chunk")
    parser.add_argument("--corrections", type=int, default=0, help="texts of the first chunk that people correct")
    parser.add_argument("--general", type=int, default=0, help="movie reviews as the base file, in place of the demo's")
    parser.add_argument("--llm", help="an OpenAI-compatible server (…/v1) instead of the embedded one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="maple-loop-") as folder:
        place = Path(folder)
        posts = first_rows(given.posts.resolve(), given.count, place)
        general = texts.nsmc3(ROOT / texts.SHARED / "nsmc_ratings.tsv.gz").train if given.general else []
        root = scratch_clone(place)
        os.chdir(root)
        if general:
            drawn = np.random.default_rng(texts.SPLIT_SEED).permutation(len(general))[: given.general]
            rows_of_base = ({"text": general[i].text, "label": general[i].label} for i in np.sort(drawn))
            write_bytes(root / BASE_FILE, csv_bytes(rows_of_base, BASE_COLUMNS))
        with replay(posts, given.text_column) as inven_url, llm(given.llm) as llm_url:
            os.environ |= {
                "INVEN_URL": inven_url,
                "LLM_ENDPOINTS": llm_url,
                "DATABASE_URL": f"sqlite:///{root}/data/live/maple.db",
            }
            rows = measure(root, given.chunk, given.corrections, inven_url)
    about = {"posts": given.posts.name, "count": given.count, "chunk": given.chunk}
    report("loop", rows, **about, corrections=given.corrections, general=given.general)


def measure(root: Path, chunk: int, corrections: int, inven_url: str) -> list[Row]:
    """One turn of the loop, timed step by step. Seconds are wall-clock."""
    seconds: dict[str, float] = {}

    def timed(step: str, action: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = action()
        seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - started
        print(f"{step}: {seconds[step]:.1f} s", flush=True)
        return result

    repository, params = Repository(root), read_params("crawl", CrawlParams)
    with Store(settings.load().database_url) as store:
        timed("base_model", lambda: release_model(repository))
        timed("crawl", lambda: asyncio.run(crawl(store, params)))
        chunks = []
        while (number := store.assign_chunk(chunk)) is not None:
            chunks.append(number)
        for number in chunks:
            timed("label", partial(label, store, number))
            timed(
                "freeze",
                partial(freeze_chunk, repository, number, read_params("catalog", CatalogParams).window),
            )
        if corrections and chunks:
            correct(store, chunks[0], corrections)
            archive = store.assign_archive(corrections)
            window = read_params("catalog", CatalogParams).window
            timed("freeze", lambda: freeze_archive(repository, store, int(archive or 0), window))
        with repository.changing():
            begin_model(repository)
            repository.dvc("repro", "--quiet", "base", "champion")
            timed("prepare", lambda: repository.dvc("repro", "--pull", "prepare"))
            timed("train", lambda: repository.dvc("repro", "--pull", "train"))
        timed("release", lambda: release_model(repository))
        bare = {name: bare_seconds(root, name) for name in ("prepare", "train")}
        lost, doubled = compare(store, inven_url, root, chunks)
    rows = [Row("posts_lost", lost, "posts"), Row("posts_doubled", doubled, "posts")]
    for step in ("base_model", "crawl", "label", "freeze", "prepare", "train", "release"):
        baseline = (bare[step], "the stage without DVC") if step in bare else (None, None)
        rows.append(Row(f"seconds_{step}", round(seconds[step], 2), "s", *baseline))
    # From labels to a released model. What is not training is what the loop costs beside it.
    release = sum(seconds[step] for step in ("freeze", "prepare", "train", "release"))
    rows.append(Row("chunk_to_release_seconds", round(release, 2), "s, LLM not counted", 90.0, "the aim"))
    rows.append(Row("overhead_share", round(1 - bare["train"] / release, 4), "of that, not training"))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    rows.append(Row("peak_mb", round(peak, 1), "MiB resident, the largest process"))
    return [*rows, Row("seconds_total", round(sum(seconds.values()), 2), "s")]


def correct(store: Store, chunk: int, count: int) -> None:
    """So many people's corrections: texts of the chunk with the label after the one that a person would see."""
    for i, row in enumerate(store.posts_of_chunk(chunk)[:count]):
        text = join_post(row["title"], row["body"])
        post = {"board_id": row["board_id"], "post_id": row["post_id"]}
        store.add_feedback(Feedback(text, i % 3, predicted=(i + 1) % 3, confidence=0.5, model_version="bench", **post))


async def crawl(store: Store, params: CrawlParams) -> None:
    """Every board once, without the pause that a real site gets."""
    async with InvenClient(settings.load().inven_url, contact="", min_interval=0.0, jitter=0.0) as client:
        for board_id in params.boards:
            print(await crawl_board(client, store, board_id, max_pages=1000), flush=True)


def label(store: Store, number: int) -> None:
    """Write the raw chunk and label it over HTTP."""
    write_chunk(store, f"{number:04d}")
    print(
        label_chunk(f"{number:04d}", settings=settings.load(), store=store, params=read_section("label")),
        flush=True,
    )


def compare(store: Store, inven_url: str, root: Path, chunks: list[int]) -> tuple[int, int]:
    """How many of the site's posts are in no chunk and not waiting, and how many are there more than once."""
    state = httpx.get(f"{inven_url}/_replay/state?all=1", trust_env=False, timeout=60).json()
    served = {(int(board), post) for board, ids in state["ids"].items() for post in ids}
    found = [
        (int(row["board_id"]), int(row["post_id"]))
        for number in chunks
        for row in read_csv(raw_path(f"{number:04d}", root), CHUNK_COLUMNS)
    ]
    with store.reading() as connection:
        waiting = select(posts_table.c.board_id, posts_table.c.post_id).where(posts_table.c.chunk.is_(None))
        found += [(row.board_id, row.post_id) for row in connection.execute(waiting)]
    return len(served - set(found)), len(found) - len(set(found))


def bare_seconds(root: Path, stage: str) -> float:
    """Wall-clock seconds of one of the stages of `pipeline.learn`, run without DVC."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", f"pipeline.learn.{stage}"], cwd=root, check=True, capture_output=True)
    return round(time.perf_counter() - started, 2)


def first_rows(path: Path, count: int, place: Path) -> Path:
    """The first `count` rows of a JSON Lines or TSV file, as a file of their own."""
    tabular = ".tsv" in path.name
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        lines = list(islice(file, count + tabular))
    target = place / ("posts.tsv" if tabular else "posts.jsonl")
    target.write_text("".join(lines), encoding="utf-8")
    return target


if __name__ == "__main__":
    errors.run(main)
