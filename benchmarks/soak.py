"""Soak: does collecting keep its memory flat, and do scheduled runs ever hang or overlap?

The replay shows new posts all the time. One process crawls it round after round, as a flow run does it; beside it
Prefect's server and worker run the crawl deployment on a short schedule, in a copy of this project.

    make bench BENCH="soak --minutes 30"

Memory is the resident set (RSS) in MiB, after five minutes and at the end.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import yaml
from sqlalchemy import select

from benchmarks.harness import ROOT, Row, report
from benchmarks.loop import replay
from demo.run import free_port
from pipeline.boards import CRAWLED
from pipeline.inven.client import InvenClient
from pipeline.inven.crawl import crawl_board
from pipeline.score import extract_keywords
from pipeline.store import Store
from pipeline.tables import posts as posts_table

COPIED = ("pipeline", "flows", "demo", "data/dictionaries", "data/korean_stopwords.txt", "data/catalog.yaml")
FIRST = 5.0  # minutes until the first reading
STUCK = timedelta(minutes=5)


def main() -> None:
    """Run for the time given, print the table, write benchmarks/results/soak.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=int, default=20, help="seconds between scheduled flow runs")
    parser.add_argument("--round", type=float, default=2.0, help="seconds between rounds of the one process")
    parser.add_argument("--per-minute", type=float, default=120.0, help="posts that appear on the replay")
    parser.add_argument("--crawler", nargs=3, help=argparse.SUPPRESS)  # the one process: URL, database, pause
    given = parser.parse_args()
    if given.crawler:
        asyncio.run(crawl_round_after_round(*given.crawler))
        return
    with tempfile.TemporaryDirectory(prefix="maple-soak-") as folder:
        rows = soak(Path(folder), given.minutes, given.every, given.round, given.per_minute)
    about = {"minutes": given.minutes, "every": given.every, "round": given.round, "per_minute": given.per_minute}
    report("soak", rows, **about)


async def crawl_round_after_round(url: str, database: str, pause: str) -> None:
    """What a flow run does, again and again in one process, until it is ended."""
    with Store(database) as store:
        while True:
            async with InvenClient(url, contact="", min_interval=0.0, jitter=0.0) as client:
                for board_id in CRAWLED:
                    await crawl_board(client, store, board_id, max_pages=30)
            extract_keywords(store, 2000)
            await asyncio.sleep(float(pause))


def soak(place: Path, minutes: float, every: int, pause: float, per_minute: float) -> list[Row]:
    """Run everything, read memory twice, ask Prefect how the runs went."""
    posts = place / "posts.jsonl"
    write_posts(posts, int(600 + per_minute * (minutes + 5)))
    database = f"sqlite:///{place}/loop.db"
    options = ["--initial", "300", "--per-minute", str(per_minute)]
    with replay(posts, None, options) as url, prefect(place, url, every) as (api, server, worker):
        crawler = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.soak", "--crawler", url, database, str(pause)], cwd=ROOT
        )
        try:
            processes = {"crawler": crawler.pid, "server": server, "worker": worker}
            first = min(FIRST, minutes / 2)
            time.sleep(first * 60)
            early = {name: resident(pid) for name, pid in processes.items()}
            print(f"after {first:g} min: {early}", flush=True)
            time.sleep((minutes - first) * 60)
            late = {name: resident(pid) for name, pid in processes.items()}
            print(f"after {minutes:g} min: {late}", flush=True)
        finally:
            crawler.terminate()
            crawler.wait(30)
        runs = flow_runs(api)
        stored = {name: count(f"sqlite:///{path}") for name, path in stores(place).items()}
    rows = [Row(f"rss_{name}", late[name], "MiB at the end", early[name], f"after {first:g} min") for name in processes]
    states = [str(run["state_type"]) for run in runs]
    rows += [Row(f"runs_{state}", states.count(state.upper()), "flow runs") for state in ("completed", "failed")]
    rows += [
        Row("runs_crashed", states.count("CRASHED"), "flow runs"),
        Row("runs_stuck", len(stuck(runs)), "flow runs"),
        Row("runs_overlapping", overlapping(runs), "flow runs"),
        Row("posts_crawler", stored["crawler"], "posts", stored["flow"], "the flow runs"),
    ]
    return rows


def write_posts(path: Path, wanted: int) -> None:
    """The demo's posts again and again, each time with another number in the title."""
    lines = [json.loads(line) for line in (ROOT / "demo/posts.jsonl").read_text(encoding="utf-8").splitlines()]
    with path.open("w", encoding="utf-8") as file:
        for n in range(wanted):
            post = {key: lines[n % len(lines)][key] for key in ("board_id", "category", "title", "body")}
            file.write(json.dumps(post | {"title": f"{post['title']} {n}"}, ensure_ascii=False) + "\n")


@contextmanager
def prefect(place: Path, url: str, every: int) -> Iterator[tuple[str, int, int]]:
    """Server and worker in a copy of the project whose crawl runs every so many seconds: API, two process ids."""
    root = place / "project"
    for name in COPIED:
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    shutil.copy(ROOT / "prefect.toml", root)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["crawl"] |= {"min_interval": 0.0, "jitter": 0.0}
    params["cut"]["size"] = 10**9  # nothing to learn here
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    crawl = next(entry for entry in deployments["deployments"] if entry["name"] == "continuous")
    crawl["schedules"] = [{"interval": every, "slug": "tick"}]
    (root / "prefect.yaml").write_text(yaml.safe_dump({**deployments, "deployments": [crawl]}), encoding="utf-8")
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    environment = os.environ | {
        "PREFECT_HOME": str(place / "prefect"),
        "PREFECT_API_URL": api,
        "DATABASE_URL": f"sqlite:///{root}/data/live/maple.db",
        "INVEN_URL": url,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    with (place / "prefect.log").open("w") as log:
        server = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        processes = []
        try:
            for command in (server, [sys.executable, "-m", "flows.worker"]):
                processes.append(
                    subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log, start_new_session=True)
                )
            yield api, processes[0].pid, processes[1].pid
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:  # a worker waits for its flow run
                    os.killpg(process.pid, 9)
                    process.wait()


def resident(pid: int) -> float:
    """RSS of a process and of its own helpers in MiB; flow runs, which come and go, are not counted."""
    total = 0.0
    for process in [pid, *children(pid)]:
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            continue  # it has just ended
        if process == pid or b"uvicorn" in command:
            total += int(status.partition("VmRSS:")[2].split()[0]) / 1024
    return round(total, 1)


def children(pid: int) -> list[int]:
    """Processes that this one has started."""
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def flow_runs(api: str) -> list[dict[str, Any]]:
    """Every flow run that has begun."""
    found: list[dict[str, Any]] = []
    while True:
        begun = {"start_time": {"is_null_": False}}
        body = {"limit": 200, "offset": len(found), "sort": "START_TIME_ASC", "flow_runs": begun}
        page = httpx.post(f"{api}/flow_runs/filter", json=body, timeout=30, trust_env=False).json()
        found += page
        if len(page) < 200:
            return found


def times(run: dict[str, Any]) -> tuple[datetime, datetime]:
    """When a run began, and when it ended; now, if it has not."""
    start = datetime.fromisoformat(run["start_time"].replace("Z", "+00:00"))
    end = run["end_time"]
    return start, datetime.fromisoformat(end.replace("Z", "+00:00")) if end else datetime.now(start.tzinfo)


def stuck(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs that took, or have been taking, longer than STUCK."""
    return [run for run in runs if times(run)[1] - times(run)[0] > STUCK]


def overlapping(runs: Sequence[dict[str, Any]]) -> int:
    """Runs that began before another had ended, but for those that were called off or saw it and left at once."""
    worked = [
        times(run)
        for run in runs
        if run["state_type"] != "CANCELLED" and "is at work" not in str(run.get("state", {}).get("message"))
    ]
    worked.sort()
    return sum(later[0] < earlier[1] for earlier, later in pairwise(worked))


def stores(place: Path) -> dict[str, Path]:
    """The two databases."""
    return {"crawler": place / "loop.db", "flow": place / "project/data/live/maple.db"}


def count(database: str) -> int:
    """Posts in a database."""
    with Store(database) as store, store.reading() as connection:
        return len(connection.scalars(select(posts_table.c.seq)).all())


if __name__ == "__main__":
    main()
