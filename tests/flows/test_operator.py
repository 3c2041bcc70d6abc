"""What an operator sees of a crawl under a real Prefect server: a changed site, a long backfill, a new category."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.replay_posts import Draft, schedule
from pipeline import clock
from pipeline.inven import visits
from pipeline.live.records import Feedback
from pipeline.live.store import Store
from tests.flows.conftest import Place
from tests.support.replay_server import Clock, ReplayServer, drafts, page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SHORT = """
import flows.crawl
from pipeline import params
read = params.read_section
params.read_section = lambda name, *more: read(name, *more) | ({"max_pages": 1} if name == "crawl" else {})
flows.crawl.main()
"""


@pytest.fixture
def site() -> Iterator[ReplayServer]:
    start = clock.now() - timedelta(minutes=5)
    posts = schedule([*drafts(150), Draft(2294, "새 직업", "출시", "본문"), *drafts(3, 5974)], start=start)
    with ReplayServer(posts, Clock(start)) as server:
        yield server


def artifacts(place: Place, key: str) -> list[dict[str, Any]]:
    found = place.api("/artifacts/filter", artifacts={"key": {"any_": [key]}}, sort="CREATED_DESC")
    return [dict(artifact) for artifact in found]


def test_a_backfill_shows_its_progress_and_a_new_category_stands_in_the_table(
    place: Place, site: ReplayServer, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path}/live.db"
    done = place.python("-c", SHORT, "--backfill", "3", INVEN_URL=site.url, DATABASE_URL=database)
    assert done.returncode == 0, done.stderr[-3000:]
    with Store(database) as store:
        assert store.count_pending() == (3 * 40 + 3, 0)
    (progress,) = artifacts(place, "crawl-backfill")
    assert (progress["type"], progress["data"]) == ("progress", 100.0)
    table = {row["board"]: row for row in json.loads(artifacts(place, "crawl-report")[0]["data"])}
    assert (table["전사"]["new"], table["전사 (backfill)"]["new"]) == (40, 80)
    assert table["전사"]["new categories"] == "새 직업"
    assert "seconds" in table["자유 게시판"]

    with Store(database) as store:
        visits.block(store, 2294, clock.now() + timedelta(minutes=9))
    asked = len(site.paths)
    done = place.python("-c", SHORT, "--backfill", "4", "--due", INVEN_URL=site.url, DATABASE_URL=database)
    assert done.returncode != 0
    assert "left alone until" in done.stderr
    assert not [path for path in site.paths[asked:] if "/2294" in path]


def test_a_changed_site_is_a_failed_task_with_the_url_while_posts_come_from_the_mobile_site(
    place: Place, site: ReplayServer, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path}/live.db"
    changed = "/board/maple/2294?p=1"
    site.fault = lambda path, count: page("<html>새 모양</html>") if path == changed else None
    addresses = {"INVEN_URL": site.url, "INVEN_MOBILE_URL": f"{site.url}/m", "DATABASE_URL": database}
    done = place.python("-m", "flows.crawl", **addresses)
    assert done.returncode != 0
    with Store(database) as store:
        assert store.count_pending() == (154, 0)  # nothing is missing for it
    tasks = place.api("/task_runs/filter", task_runs={"state": {"type": {"any_": ["FAILED"]}}})
    said = [str(task["state"]["message"]) for task in tasks if task["name"] == "crawl-board-2294"]  # type: ignore[index]
    assert f"{site.url}{changed}" in said[-1]
    (kept,) = (place.root / "data/quarantine").iterdir()
    assert kept.name == "2294-list-1.html"
    row = json.loads(artifacts(place, "crawl-report")[0]["data"])[0]
    assert (row["board"], row["new"]) == ("전사", 151)
    assert changed in row["problem"]


def test_what_a_weekend_off_has_left_stands_in_the_table_and_in_an_event(place: Place, tmp_path: Path) -> None:
    start = clock.now() - timedelta(days=2)
    posts = schedule(drafts(160), start=start, initial=40, per_minute=60)
    site_clock = Clock(start)
    addresses = {"DATABASE_URL": f"sqlite:///{tmp_path}/live.db"}
    with ReplayServer(posts, site_clock) as site:
        place.python("-c", SHORT, INVEN_URL=site.url, **addresses)
        site_clock.pass_time(hours=48)
        done = place.python("-c", SHORT, INVEN_URL=site.url, **addresses)
        assert done.returncode == 0, done.stderr[-3000:]
        assert "up to 80 posts of a gap are left for the next runs" in done.stderr + done.stdout
        assert json.loads(artifacts(place, "crawl-report")[0]["data"])[0]["gap"] == 80
        done = place.python("-c", SHORT, "--due", INVEN_URL=site.url, **addresses)  # due because of its gap
        assert "posts of a gap" not in done.stderr + done.stdout
        row = json.loads(artifacts(place, "crawl-report")[0]["data"])[0]
        assert (row["gap"], row["visit"]) == ("", "a gap of up to 80 posts is to be filled")
    with Store(addresses["DATABASE_URL"]) as store:
        assert store.count_pending()[0] == 160
    deadline = time.monotonic() + 60
    while True:
        found = place.api("/events/filter", filter={"event": {"name": ["maple.board.gap"]}})
        said = sorted((event["payload"]["posts"], event["payload"]["before"]) for event in found["events"])
        if said == [(0, 80), (80, 0)] or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert said == [(0, 80), (80, 0)]
    assert {event["resource"]["prefect.resource.id"] for event in found["events"]} == {"maple.board.2294"}


@pytest.mark.parametrize("flow", ["crawl", "learn"])
def test_a_locked_database_is_one_sentence_and_the_next_run_goes_on(
    place: Place, site: ReplayServer, tmp_path: Path, flow: str
) -> None:
    path = tmp_path / "live.db"
    where = {"INVEN_URL": site.url, "DATABASE_URL": f"sqlite:///{path}"}
    hurried = f"from pipeline.live import database; database.PATIENCE = 0.2; import flows.{flow} as f; f.main()"
    with Store(where["DATABASE_URL"]) as store:
        for _ in range(3):
            store.add_feedback(Feedback("글", 1))  # enough for an archive: the learn flow has something to write
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = place.python("-c", hurried, **where)
        assert done.returncode == 1, done.stderr[-3000:]
        assert "is locked by another program" in done.stderr.splitlines()[-1]
        assert str(path) in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr + done.stdout
        ended = {"state": {"type": {"not_any_": ["SCHEDULED", "PENDING"]}}}  # those of other tests' deployments wait
        this = {"flows": {"name": {"any_": [flow]}}, "flow_runs": ended}
        (run,) = place.api("/flow_runs/filter", **this, sort="START_TIME_DESC", limit=1)
        assert (run["state_type"], "locked" in str(run["state"]["message"])) == ("FAILED", True)  # type: ignore[index]
    if flow == "crawl":
        done = place.python("-c", hurried, **where)
        assert done.returncode == 0, done.stderr[-3000:]
        with Store(where["DATABASE_URL"]) as store:
            assert store.count_pending()[0] == 154
