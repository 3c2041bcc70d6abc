"""The two flows under a real Prefect server: scheduled, crawling a real replay, failing with the way out."""

import json
import re
import time
from datetime import timedelta
from pathlib import Path

import pytest

from demo.replay_posts import read_posts, schedule
from pipeline import clock
from pipeline.boards import CRAWLED
from pipeline.inven import visits
from pipeline.live.records import Feedback
from pipeline.live.store import Store
from pipeline.serve.score import keywords_version
from tests.flows.conftest import Place
from tests.support.project import ROOT, run
from tests.support.replay_server import Clock, ReplayServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def site() -> ReplayServer:
    drafts = read_posts([ROOT / "demo/posts.jsonl"])[:45]
    start = clock.now() - timedelta(minutes=5)
    with ReplayServer(schedule(drafts, start=start, initial=45, per_minute=0, deleted=0), Clock(start)) as server:
        yield server


def test_deployments_are_scheduled(place: Place) -> None:
    """With newer fastapi or SQLAlchemy the server fails here, or looks healthy and schedules nothing."""
    page = (ROOT / "docs/operate.md").read_text(encoding="utf-8")
    pool, deploy = re.findall(r"^prefect (work-pool create .*|--no-prompt deploy .*)$", page, re.MULTILINE)
    for line in (pool, deploy, deploy):  # deploying again changes nothing
        done = place.python("-m", "prefect", *line.split())
        assert done.returncode == 0, done.stdout + done.stderr
    names = {d["name"] for d in place.api("/deployments/filter")}
    assert names == {"continuous", "gated"}
    assert len(place.api("/automations/filter")) == 1
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        runs = place.api("/flow_runs/filter", flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}})
        if len({r["deployment_id"] for r in runs}) == 2:
            return
        time.sleep(1)
    pytest.fail("no run was scheduled within 90 s")


def test_crawl_stores_the_site_and_a_second_run_asks_for_nothing_known(place: Place, site: ReplayServer) -> None:
    first = place.python("-m", "flows.crawl", INVEN_URL=site.url)
    assert "45 new posts" in first.stderr + first.stdout, first.stderr[-3000:]
    asked = len(site.paths)
    second = place.python("-m", "flows.crawl", INVEN_URL=site.url)
    assert "0 new posts" in second.stderr + second.stdout, second.stderr[-3000:]
    assert len(site.paths) - asked == 6  # one list page a board; robots.txt is kept
    with Store(place.env["DATABASE_URL"]) as store:
        assert store.count_pending() == (45, 0)
        assert store.posts_without_keywords(keywords_version(), 100) == []
    tables = place.api("/artifacts/filter", artifacts={"key": {"any_": ["crawl-report"]}})
    for table in tables:  # one a run
        rows = json.loads(str(table["data"]))
        assert rows[-1]["board"] == "자유 게시판"
        assert sum(row["new"] + row["known"] for row in rows) == 45


def test_the_deployments_run_leaves_out_boards_that_are_not_due_and_says_so(place: Place, site: ReplayServer) -> None:
    with Store(place.env["DATABASE_URL"]) as store:
        now = clock.now()
        for board_id in CRAWLED:
            visits.end(store, board_id, now)
        visits.end(store, 2296, now - timedelta(minutes=61))
        visits.block(store, 2297, now + timedelta(minutes=9))
    asked = len(site.paths)
    done = place.python("-m", "flows.crawl", "--due", INVEN_URL=site.url)
    assert "1 of 6 boards were due" in done.stderr + done.stdout, done.stderr[-3000:]
    assert site.paths[asked:] == ["/board/maple/2296?p=1"]
    newest = place.api("/artifacts/filter", artifacts={"key": {"any_": ["crawl-report"]}}, sort="CREATED_DESC")[0]
    table = json.loads(str(newest["data"]))
    assert [(row["board"], row["pages"]) for row in table if row["visit"].startswith("last visited")] == [("궁수", 1)]
    assert [row["board"] for row in table if "left alone until" in row["visit"]] == ["도적"]
    assert sum(row["visit"].startswith("not due") for row in table) == 5
    done = place.python("-m", "flows.crawl", "--due", INVEN_URL="http://127.0.0.1:9")  # no site at all is needed
    assert "0 of 6 boards were due" in done.stderr + done.stdout, done.stderr[-3000:]


def test_only_one_crawl_at_a_time(place: Place, site: ReplayServer) -> None:
    script = (
        "from pipeline.lock import only_run\n"
        "import asyncio, flows.crawl\n"
        "with only_run('crawl'):\n"
        "    print(asyncio.run(flows.crawl.crawl(return_state=True)))"
    )
    done = place.python("-c", script, INVEN_URL=site.url)
    assert "another crawl run is at work" in done.stdout, done.stderr[-3000:]


def test_corrections_are_learned_from_while_the_llm_is_down_and_the_message_says_what_to_start(place: Place) -> None:
    with Store(place.env["DATABASE_URL"]) as store:
        for i in range(3):
            store.add_feedback(Feedback(text=f"이번 이벤트 {i}번째로 재밌다", label=2))
    done = place.python("-m", "flows.learn")
    assert done.returncode != 0
    said = done.stderr + done.stdout
    assert place.env["LLM_ENDPOINTS"] in said
    assert "LM Studio" in said
    tags = run(place.root, "git", "tag", "--list").split()
    assert tags[0] == "feedback-0001"
    assert len([t for t in tags if t.startswith("model-")]) == 1
    with Store(place.env["DATABASE_URL"]) as store:
        assert store.last_chunk() == 2  # 40 of 45 posts are assigned and wait for the LLM; nothing is lost
        assert store.count_pending() == (5, 0)
        now = clock.now()
        rows = store.moods(now - timedelta(days=30), now + timedelta(days=1))
    assert {r["source"] for r in rows} == {"model"}  # the released model judged what was collected


def test_nothing_due_ends_at_once_and_says_how_far_it_is(place: Place, tmp_path: Path) -> None:
    done = place.python("-m", "flows.learn", DATABASE_URL=f"sqlite:///{tmp_path}/empty.db")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "0/20 posts, 0/3 corrections" in done.stderr + done.stdout


def test_a_dirty_checkout_stops_learning_with_one_clear_message(place: Place) -> None:
    params = place.root / "params.yaml"
    before = params.read_text(encoding="utf-8")
    params.write_text(before + "# edited\n", encoding="utf-8")
    try:
        done = place.python("-m", "flows.learn")
    finally:
        params.write_text(before, encoding="utf-8")
    assert done.returncode != 0
    assert "uncommitted changes in params.yaml" in done.stderr
