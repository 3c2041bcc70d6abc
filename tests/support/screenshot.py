"""The picture of the page in the READMEs, docs/page.png: the page's own code over the demo's posts, in a real browser.

    apt-get install chromium fonts-nanum fonts-noto-color-emoji
    python -m tests.support.screenshot

Moods are those that the posts' writers gave them: half stand as an LLM's labels, half as a model's.
"""

import argparse
import json
import random
import shutil
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from demo.replay_posts import ReplayPost, read_posts, schedule
from pipeline import boards, errors
from pipeline.errors import UserError
from pipeline.labels import parse_label
from pipeline.live.records import Post, Prediction
from pipeline.live.store import Store
from pipeline.serve.keywords import load_stopwords
from pipeline.serve.score import extract_keywords
from tests.app.world import NOW, VERSION, Model, Running, WordClassifier, services_of
from tests.support import ROOT

POSTS = ROOT / "demo" / "posts.jsonl"
SIZE = {"width": 1280, "height": 1390}
EVERY = timedelta(minutes=40)  # between two posts: two weeks of them


class NoBrowser(UserError):
    """There is no Chromium."""


def chromium() -> str:
    """Where Chromium is. Raises NoBrowser."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        raise NoBrowser("no Chromium: apt-get install chromium fonts-nanum")
    return found


def collected(post: ReplayPost) -> Post:
    """A post of the replay as the crawler stores it."""
    job = boards.job_of_post(post.board_id, post.category, post.title)
    return Post(
        board_id=post.board_id,
        post_id=post.post_id,
        category=post.category,
        job_group=boards.group_of(post.board_id, job),
        job=job.name if job else None,
        title=post.title,
        body=post.body,
        url=f"https://www.inven.co.kr/board/maple/{post.board_id}/{post.post_id}",
        posted_at=post.posted_at,
        collected_at=post.posted_at + timedelta(minutes=4),
        views=post.views,
        recommends=post.recommends,
        comments=post.comments,
    )


def fill(store: Store) -> None:
    """The demo's posts with their words and moods."""
    rows = [json.loads(line) for line in POSTS.read_text(encoding="utf-8").splitlines()]
    moods = {(row["title"], row["body"]): parse_label(row["mood"]) for row in rows}
    drafts = read_posts([POSTS])
    random.Random(1).shuffle(drafts)
    dated = [replace(draft, posted_at=NOW - EVERY * (len(drafts) - n)) for n, draft in enumerate(drafts)]
    posts = schedule(dated, start=NOW)
    store.add_posts([collected(post) for post in posts])
    while extract_keywords(store, 200):
        pass
    labelled, judged = posts[::2], posts[1::2]
    store.set_post_labels(
        [
            {
                "board_id": post.board_id,
                "post_id": post.post_id,
                "label": moods[post.title, post.body],
                "confidence": 0.9,
                "labeler": "demo",
            }
            for post in labelled
        ]
    )
    store.save_predictions(
        VERSION, [Prediction(post.board_id, post.post_id, moods[post.title, post.body], 0.8) for post in judged]
    )


def take(target: Path, browser: str) -> None:
    """Write the picture."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, Store(f"sqlite:///{folder}/live.db") as store:
        fill(store)
        services = services_of(store, Model(WordClassifier()), stopwords=load_stopwords(), now=lambda: NOW)
        with Running(services) as running, sync_playwright() as playwright:
            chrome = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = chrome.new_page(viewport=SIZE, locale="ko-KR", color_scheme="light")
            page.goto(running.url)
            page.get_by_role("heading", name="직업군별 분위기").wait_for()
            page.evaluate("document.fonts.ready")
            page.wait_for_timeout(1000)  # Gradio fades its parts in
            page.screenshot(path=target, animations="disabled")
            chrome.close()


def main() -> None:
    """Raises NoBrowser."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.screenshot", description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "page.png", metavar="FILE")
    given = parser.parse_args()
    take(given.to, chromium())
    print(f"{given.to}: {given.to.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    errors.run(main)
