"""Loop: does the whole loop lose or double a post, and where does its time go?

Crawls a replay over HTTP, cuts, labels with the LLM over HTTP, freezes, trains, evaluates and releases in a scratch
clone with real Git and DVC. Without arguments: the demo's posts and chunks of 120. With a file: real thresholds,

    make bench BENCH="loop --posts ../shared/data/steam_ko.tsv.gz --text-column document --count 2000 --chunk 1000"

The stages prepare and train run once more without DVC, right beside, as the baseline of what versioning costs.
"""

import argparse
import asyncio
import gzip
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from benchmarks.harness import ROOT, Row, report
from demo.llm import running_llm
from demo.run import free_port
from pipeline import settings
from pipeline.cut import COLUMNS, raw_path, write_chunk
from pipeline.files import read_csv
from pipeline.inven.client import InvenClient
from pipeline.inven.crawl import crawl_board
from pipeline.label import label_chunk
from pipeline.release import begin_model, freeze_chunk, release_model
from pipeline.store import Store
from pipeline.tables import posts as posts_table
from pipeline.versions import Repository


def main() -> None:
    """Run once, print the table, write benchmarks/results/loop.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop", description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=Path, default=ROOT / "demo" / "posts.jsonl", help="JSON Lines or (gzip) TSV")
    parser.add_argument("--text-column", help="the file is TSV; this column holds the texts")
    parser.add_argument("--count", type=int, default=360, help="posts of the file that are served")
    parser.add_argument("--chunk", type=int, default=120, help="posts a chunk")
    parser.add_argument("--llm", help="an OpenAI-compatible server (…/v1) instead of the embedded one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="maple-loop-") as folder:
        place = Path(folder)
        posts = first_rows(given.posts.resolve(), given.count, place)
        root = scratch_clone(place)
        os.chdir(root)
        with replay(posts, given.text_column) as inven_url, llm(given.llm) as llm_url:
            os.environ |= {
                "INVEN_URL": inven_url,
                "LLM_ENDPOINTS": llm_url,
                "DATABASE_URL": f"sqlite:///{root}/data/live/maple.db",
            }
            rows = measure(root, given.chunk, inven_url)
    report("loop", rows, posts=given.posts.name, count=given.count, chunk=given.chunk)


def measure(root: Path, chunk: int, inven_url: str) -> list[Row]:
    """One turn of the loop, timed step by step. Seconds are wall-clock."""
    seconds: dict[str, float] = {}

    def timed(step: str, action: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = action()
        seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - started
        print(f"{step}: {seconds[step]:.1f} s", flush=True)
        return result

    repository, numbers = Repository(root), settings.params("crawl")
    with Store(settings.load().database_url) as store:
        timed("crawl", lambda: asyncio.run(crawl(store, numbers)))
        chunks = []
        while (number := store.assign_chunk(chunk)) is not None:
            chunks.append(number)
        for number in chunks:
            timed("label", partial(label, store, number))
            timed("freeze", partial(freeze_chunk, repository, number, settings.params("catalog")["window"]))
        with repository.changing():
            begin_model(repository)
            repository.dvc("repro", "--quiet", "base", "champion")
            timed("prepare", lambda: repository.dvc("repro", "--pull", "prepare"))
            timed("train", lambda: repository.dvc("repro", "--pull", "train"))
        timed("release", lambda: release_model(repository))
        bare = {name: bare_seconds(root, name) for name in ("prepare", "train")}
        lost, doubled = compare(store, inven_url, root, chunks)
    rows = [Row("posts_lost", lost, "posts"), Row("posts_doubled", doubled, "posts")]
    for step in ("crawl", "label", "freeze", "prepare", "train", "release"):
        baseline = (bare[step], "the stage without DVC") if step in bare else (None, None)
        rows.append(Row(f"seconds_{step}", round(seconds[step], 2), "s", *baseline))
    return [*rows, Row("seconds_total", round(sum(seconds.values()), 2), "s")]


async def crawl(store: Store, numbers: dict[str, Any]) -> None:
    """Every board once, without the pause that a real site gets."""
    async with InvenClient(settings.load().inven_url, contact="", min_interval=0.0, jitter=0.0) as client:
        for board_id in numbers["boards"]:
            print(await crawl_board(client, store, board_id, max_pages=1000), flush=True)


def label(store: Store, number: int) -> None:
    """Write the raw chunk and label it over HTTP."""
    write_chunk(store, f"{number:04d}")
    print(
        label_chunk(f"{number:04d}", settings=settings.load(), store=store, params=settings.params("label")), flush=True
    )


def compare(store: Store, inven_url: str, root: Path, chunks: list[int]) -> tuple[int, int]:
    """How many of the site's posts are in no chunk and not waiting, and how many are there more than once."""
    state = httpx.get(f"{inven_url}/_replay/state?all=1", trust_env=False, timeout=60).json()
    served = {(int(board), post) for board, ids in state["ids"].items() for post in ids}
    found = [
        (int(row["board_id"]), int(row["post_id"]))
        for number in chunks
        for row in read_csv(raw_path(f"{number:04d}", root), COLUMNS)
    ]
    with store.reading() as connection:
        waiting = select(posts_table.c.board_id, posts_table.c.post_id).where(posts_table.c.chunk.is_(None))
        found += [(row.board_id, row.post_id) for row in connection.execute(waiting)]
    return len(served - set(found)), len(found) - len(set(found))


def bare_seconds(root: Path, stage: str) -> float:
    """Wall-clock seconds of `python -m pipeline.STAGE` without DVC."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", f"pipeline.{stage}"], cwd=root, check=True, capture_output=True)
    return round(time.perf_counter() - started, 2)


def first_rows(path: Path, count: int, place: Path) -> Path:
    """The first `count` rows of a JSON Lines or TSV file, as a file of their own."""
    tabular = ".tsv" in path.name
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        lines = list(islice(file, count + tabular))
    target = place / ("posts.tsv" if tabular else "posts.jsonl")
    target.write_text("".join(lines), encoding="utf-8")
    return target


def scratch_clone(place: Path) -> Path:
    """A clone of the committed checkout with a DVC remote of its own."""
    root = place / "project"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root)], check=True)
    if not subprocess.run(
        ["git", "branch", "--show-current"], cwd=root, capture_output=True, check=True
    ).stdout.strip():
        subprocess.run(["git", "switch", "--quiet", "--create", "bench"], cwd=root, check=True)
    Repository(root).dvc("remote", "add", "--local", "--default", "store", str(place / "dvc-store"))
    return root


@contextmanager
def replay(posts: Path, text_column: str | None, options: Sequence[str] = ()) -> Iterator[str]:
    """The replay of Inven serving these posts, as a process of its own; `options` are its own."""
    port = free_port()
    command = [sys.executable, "-m", "demo.replay", "--posts", str(posts), "--port", str(port)]
    process = subprocess.Popen([*command, *(["--text-column", text_column] if text_column else []), *options], cwd=ROOT)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                httpx.get(f"{url}/robots.txt", trust_env=False, timeout=5)
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def llm(url: str | None) -> Iterator[str]:
    """The LLM server that was named, or the embedded one for as long as it is needed."""
    if url:
        yield url
    else:
        with running_llm() as own:
            yield own


if __name__ == "__main__":
    main()
