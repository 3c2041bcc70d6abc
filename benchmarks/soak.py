"""Soak: can `make up` be left alone? Flat memory, no stuck or overlapping runs, no post lost, a clean end.

    make bench BENCH="soak --minutes 30"

Runs `make up`'s own program (server, worker, page, base model, crawl and learn deployments) in a scratch clone of the
committed checkout, at a raised pace: the replay shows new posts all the time, a stand-in LLM answers at once, chunks
are small, and every model wins, so that the page changes models. A visitor asks the page for moods and figures.

Memory is the resident set (RSS) in MiB, after five minutes and at the end, of each part with its helpers; of flow runs,
which come and go, the most that one had, early and late. The clock starts when the page answers.
"""

import argparse
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import yaml
from sqlalchemy import select

from benchmarks.support.flow_runs import count, flow_runs, overlapping, stuck
from benchmarks.support.harness import ROOT, Row, report
from benchmarks.support.memory import Watch, kill, processes
from benchmarks.support.scratch import replay, scratch_clone
from demo.run import free_port
from pipeline import errors
from pipeline.live.store import Store
from pipeline.live.tables import posts as posts_table

FIRST = 5.0  # minutes until the first reading
SETTLE = 200.0  # seconds: posts that were there this long before the end must be stored
LOGIN = ("soak", secrets.token_hex())  # of the Prefect server that is watched
VISIT_EVERY = 10.0  # seconds between a visitor's looks at the page
STOP_WAIT = 180.0  # seconds until we help with the end
STATES = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def main() -> None:
    """Run for the time given, print the table, write benchmarks/results/soak.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--crawl-every", type=int, default=60, help="seconds between crawls")
    parser.add_argument("--learn-every", type=int, default=75, help="seconds between looks at what is to be learned")
    parser.add_argument("--per-minute", type=float, default=60.0, help="posts that appear on the replay")
    parser.add_argument("--chunk", type=int, default=400, help="posts a chunk")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="maple-soak-", ignore_cleanup_errors=True) as folder:
        try:
            rows = soak(Path(folder), given)
        except BaseException:
            log = Path(folder) / "up.log"
            print(log.read_text(errors="replace")[-5000:] if log.exists() else "no log", file=sys.stderr)
            raise
    report("soak", rows, **vars(given))


def soak(place: Path, given: argparse.Namespace) -> list[Row]:
    """Start everything, watch it, ask Prefect how the runs went, end it with one SIGINT."""
    write_posts(place / "posts.jsonl", int(300 + given.per_minute * (given.minutes + 30)))
    root = scratch_clone(place)
    raise_pace(root, given)
    options = ["--initial", "300", "--per-minute", str(given.per_minute)]
    with (
        replay(place / "posts.jsonl", None, options) as inven_url,
        answering_llm() as llm_url,
        up(place, root, inven_url, llm_url) as (program, page, api),
    ):
        with Watch(place / "prefect") as watch, visitor(page) as seen:
            seconds = given.minutes * 60
            first = min(FIRST * 60, seconds / 2)
            began = time.monotonic()
            wait(program, first)
            print(f"after {first / 60:g} min: {rounded(watch.at(first))}", flush=True)
            wait(program, max(0.0, began + seconds - SETTLE - time.monotonic()))
            served = httpx.get(f"{inven_url}/_replay/state?all=1", trust_env=False, timeout=60).json()["ids"]
            wait(program, max(0.0, began + seconds - time.monotonic()))
            runs = flow_runs(api, LOGIN)
        for minute in range(0, int(given.minutes) + 1, 5):
            print(f"minute {minute}: {rounded(watch.at(minute * 60))}", flush=True)
        for run in runs:
            if run["state_type"] not in ("COMPLETED", "CANCELLED"):
                print(f"{run['flow']} {run['name']} {run['state_type']}: {(run['state'] or {}).get('message')}")
        print(f"the page answered {seen['answers']} times, models: {sorted(seen['models'])}", flush=True)
        stopping = time.monotonic()
        program.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            program.wait(STOP_WAIT)
        stopped = time.monotonic() - stopping
        left = processes(place / "prefect")
        print(f"stopped in {stopped:.1f} s, exit code {program.poll()}, left behind: {left}", flush=True)
    posts = stored(f"sqlite:///{root}/data/live/maple.db")
    expected = {(int(board), post) for board, ids in served.items() for post in ids}
    return [
        *memory(watch, runs, first, seconds),
        *(Row(f"runs_{state.lower()}", count(runs, state), "flow runs") for state in STATES),
        Row("runs_stuck", len(stuck(runs)), "flow runs"),
        Row("runs_overlapping", overlapping(runs, watch.peaks), "flow runs"),
        Row("models_served", len(seen["models"]), "models that the page has shown"),
        Row("page_errors", seen["errors"], "of a visitor's requests", seen["answers"], "answered"),
        Row("posts_lost", len(expected - set(posts)), f"posts, of {len(expected)}"),
        Row("posts_doubled", len(posts) - len(set(posts)), "posts"),
        Row("seconds_stop", round(stopped, 1), "s after one Ctrl-C"),
        Row("processes_left", len(left), "processes after that"),
    ]


# --- the world ----------------------------------------------------------------------------------------


def write_posts(path: Path, wanted: int) -> None:
    """The demo's posts again and again, each time with another number in the title."""
    lines = [json.loads(line) for line in (ROOT / "demo/posts.jsonl").read_text(encoding="utf-8").splitlines()]
    with path.open("w", encoding="utf-8") as file:
        for n in range(wanted):
            post = {key: lines[n % len(lines)][key] for key in ("board_id", "category", "title", "body")}
            file.write(json.dumps(post | {"title": f"{post['title']} {n}"}, ensure_ascii=False) + "\n")


def raise_pace(root: Path, given: argparse.Namespace) -> None:
    """Commit the soak's numbers in the clone: no pause on the replay, short schedules, small chunks.

    The stand-in LLM has one answer for everything, so its labels are not judged, and no model is refused.
    """
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["crawl"] |= {"min_interval": 0.0, "jitter": 0.0, "max_wait": 0}
    params["cut"]["size"] = given.chunk
    params["label"] |= {"gold_sample": 0, "min_kappa": -1.0, "max_kappa_drop": 2.0, "max_canaries": 1.0}
    params["promote"] |= {"tolerance": 1.0, "max_risk": 1.0, "recall_floor": 0.0}
    path.write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
    path = root / "prefect.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    for entry, every in zip(document["deployments"], (given.crawl_every, given.learn_every), strict=True):
        entry["schedules"][0]["interval"] = every
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    identity = ("-c", "user.name=Soak", "-c", "user.email=soak@localhost")
    subprocess.run(["git", *identity, "commit", "--quiet", "--all", "-m", "Soak"], cwd=root, check=True)


@contextmanager
def answering_llm() -> Iterator[str]:
    """A stand-in LLM that answers in 20 ms, as a process of its own."""
    command = [sys.executable, "-m", "benchmarks.support.slot_server", "--latency", "0.02"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def up(place: Path, root: Path, inven_url: str, llm_url: str) -> Iterator[tuple[subprocess.Popen[bytes], str, str]]:
    """`make up`'s program, once its page shows a model: the process, the page's address, Prefect's API."""
    page, api = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}/api"
    environment = os.environ | {
        "APP_PORT": page.rpartition(":")[2],
        "DATABASE_URL": f"sqlite:///{root}/data/live/maple.db",
        "DVC_SITE_CACHE_DIR": str(place / "dvc-site"),
        "INVEN_URL": inven_url,
        "LLM_ENDPOINTS": llm_url,
        "PREFECT_API_AUTH_STRING": ":".join(LOGIN),
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(place / "prefect"),
    }
    with (place / "up.log").open("wb") as log:
        program = subprocess.Popen(
            [sys.executable, "-m", "flows.up"],
            cwd=root,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            while not (_get(f"{page}/readyz") and _get(f"{api}/health")):
                wait(program, 1)
            yield program, page, api
        finally:
            if program.poll() is None:
                program.kill()
                program.wait()
            kill(processes(place / "prefect"))


def wait(program: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait, and raise RuntimeError when the program ends meanwhile."""
    with suppress(subprocess.TimeoutExpired):
        raise RuntimeError(f"make up has ended: exit code {program.wait(seconds)}")


def _get(url: str) -> Any:
    """The JSON at an address that answers with 200, else None."""
    try:
        answer = httpx.get(url, timeout=30, trust_env=False)
        return answer.json() if answer.status_code == 200 else None
    except httpx.HTTPError:
        return None


@contextmanager
def visitor(page: str) -> Iterator[dict[str, Any]]:
    """Someone who asks for a text's mood and for the dashboard, again and again: answers, errors, models seen."""
    seen: dict[str, Any] = {"answers": 0, "errors": 0, "models": set()}
    stop = threading.Event()

    def visit() -> None:
        number = 0
        while not stop.wait(VISIT_EVERY):
            number += 1
            for call, data in (("analyse", [f"이번 패치 {number}번째 보스 진짜 재밌다"]), ("dashboard", ["전체"] * 3)):
                try:
                    answer = ask(page, call, data)
                    seen["answers"] += 1
                    seen["models"] |= {answer["model_version"]} - {None}
                except (httpx.HTTPError, ValueError) as error:
                    seen["errors"] += 1
                    print(f"{call}: {error!r}", flush=True)

    thread = threading.Thread(target=visit, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join(60)


def ask(page: str, call: str, data: list[Any]) -> dict[str, Any]:
    """What the page's API answers. Raises httpx.HTTPError, ValueError."""
    with httpx.Client(base_url=f"{page}/gradio_api/call", timeout=60, trust_env=False) as client:
        event = client.post(f"/{call}", json={"data": data}).raise_for_status().json()["event_id"]
        said = client.get(f"/{call}/{event}").raise_for_status().text
    found = re.search(r"event: complete\ndata: (.*)", said)
    if found is None:
        raise ValueError(said[:300])
    answer: dict[str, Any] = json.loads(found[1])[0]
    return answer


# --- what came of it ----------------------------------------------------------------------------------


def memory(watch: Watch, runs: Sequence[dict[str, Any]], first: float, seconds: float) -> list[Row]:
    """RSS of the parts at both readings; the largest flow run of the first and of the second half."""
    early, late, when = rounded(watch.at(first)), rounded(watch.at(seconds)), f"after {first / 60:g} min"
    rows = [
        Row(f"rss_{part}", late.get(part, 0.0), "MiB at the end", early.get(part, 0.0), when)
        for part in ("server", "worker", "page", "up")
    ]
    for flow in ("crawl", "learn"):
        peaks = [watch.peaks[run["id"]] for run in runs if run["flow"] == flow and run["id"] in watch.peaks]
        half = len(peaks) // 2
        before, after = max(peaks[:half], default=0.0), max(peaks[half:], default=0.0)
        what = "MiB, the largest run of the second half"
        rows.append(Row(f"rss_{flow}_run", round(after, 1), what, round(before, 1), "of the first half"))
    return rows


def rounded(parts: dict[str, float]) -> dict[str, float]:
    """MiB with one digit."""
    return {part: round(rss, 1) for part, rss in parts.items()}


def stored(database: str) -> list[tuple[int, int]]:
    """Board and id of every stored post."""
    with Store(database) as store, store.reading() as connection:
        return [(row.board_id, row.post_id) for row in connection.execute(select(posts_table))]


if __name__ == "__main__":
    errors.run(main)
