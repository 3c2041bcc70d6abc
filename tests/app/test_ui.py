"""The page in a real browser: both tabs, feedback down to the row, hostile text, empty states, a phone."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline import clock
from pipeline.live.store import Store
from tests.app.world import CANARY, VERSION, Model, Running, WordClassifier, fill, flag, services_of

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(path).exists()), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium fonts-nanum")

WAIT = 20_000  # ms, on a busy machine
LIVE = "실시간 분석"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def suspects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation") / "suspects.csv"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, suspects: Path) -> Iterator[tuple[Running, Store]]:
    with Store(f"sqlite:///{tmp_path_factory.mktemp('ui') / 'live.db'}") as store:
        fill(store, clock.now())
        with Running(services_of(store, Model(WordClassifier()), suspects)) as running:
            yield running, store


@contextmanager
def visit(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """A page on which nothing goes wrong unseen: no error, no request to anyone else, no canary."""
    context = browser.new_context(locale="ko-KR", **{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(WAIT)
    sync_api.expect.set_options(timeout=WAIT)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"pageerror {error}"))
    # 422 is how Gradio's own validation answers.
    page.on(
        "console",
        lambda line: wrong.append(line.text) if line.type == "error" and "422" not in line.text else None,
    )
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((url, "data:", "blob:")) else wrong.append(f"request {request.url}")
        ),
    )
    page.goto(url)
    page.get_by_role("heading", name="직업군별 분위기").wait_for()
    yield page
    assert page.evaluate("window.canary") is None
    assert wrong == []
    context.close()


def analyse(page: Any, text: str) -> None:
    page.get_by_placeholder("예:").fill(text)  # not by label: a refusal becomes part of the field's name
    page.get_by_role("button", name="분석", exact=True).click()


@pytest.fixture
def expect() -> Callable[[Any], Any]:
    return sync_api.expect


def test_dashboard_shows_figures_bars_keywords_and_posts(browser, world, expect):
    with visit(browser, world[0].url) as page:
        assert page.locator("h1").count() == 1
        cards = page.locator(".mp-cards")
        expect(cards).to_contain_text("40")
        expect(cards).to_contain_text(VERSION)
        expect(cards).to_contain_text("글 40/1,000")
        jobs = page.get_by_role("region", name="직업별 분위기")
        expect(jobs.get_by_role("row", name=re.compile("비숍"))).to_be_visible()
        expect(jobs.get_by_role("row", name=re.compile("캡틴.*표본 적음"))).to_be_visible()
        expect(page.get_by_role("img", name=re.compile("낱말 구름"))).to_be_visible()
        expect(page.get_by_text(CANARY).locator("visible=true").first).to_be_visible()
        link = page.get_by_role("link", name="보기").locator("visible=true").first
        assert re.fullmatch(r"https://www\.inven\.co\.kr/board/maple/\d+/\d+", link.get_attribute("href"))
        assert link.get_attribute("target") == "_blank"
        assert page.locator('a[href^="javascript"]').count() == 0


def test_filters_narrow_the_dashboard(browser, world, expect):
    with visit(browser, world[0].url) as page:
        page.get_by_role("combobox", name="직업군").click()
        page.get_by_role("option", name="전사").click()
        jobs = page.get_by_role("region", name="직업별 분위기 (전사)")
        expect(jobs.get_by_role("row", name=re.compile("아델"))).to_be_visible()
        expect(jobs.get_by_text("비숍")).to_have_count(0)
        page.get_by_role("combobox", name="직업", exact=True).click()
        assert page.get_by_role("option", name="비숍").count() == 0
        page.get_by_role("option", name="아델").click()
        expect(page.locator(".mp-card").first).to_contain_text("6")
        expect(page.locator("tr.mp-chosen")).to_have_count(2)


def test_feedback_goes_from_the_sentence_to_the_row(browser, world, expect):
    running, store = world
    with visit(browser, running.url) as page:
        page.get_by_role("tab", name=LIVE).click()
        before = store.count_pending()[1]
        text = f"비숍 갓캐 {CANARY}"
        analyse(page, text)
        expect(page.get_by_label("분석한 문장")).to_have_value(text)
        expect(page.get_by_test_id("긍정-confidence-set")).to_be_visible()
        expect(page.get_by_text(f"모델 버전 {VERSION}")).to_be_visible()
        answers = page.get_by_role("radio", name=re.compile("긍정|중립|부정"))
        assert [answers.nth(index).is_checked() for index in range(3)] == [False] * 3

        page.get_by_role("button", name="의견 보내기").click()  # nothing chosen
        expect(page.get_by_test_id("toast-body")).to_contain_text("정답을 골라 주세요")
        assert store.count_pending()[1] == before
        page.get_by_test_id("toast-close").click()

        page.get_by_label("문장", exact=True).fill("상자에 나중에 쓴 다른 말")
        page.get_by_role("radio", name="부정").check()
        page.get_by_role("button", name="의견 보내기").dblclick()
        expect(page.get_by_test_id("toast-body")).to_contain_text("고맙습니다")
        expect(page.get_by_role("button", name="보냈습니다")).to_be_disabled()
        expect(page.get_by_text(f"{before + 1}/100").last).to_be_visible()
        assert store.count_pending()[1] == before + 1
    with store.reading() as connection:
        row = connection.exec_driver_sql(
            "SELECT text, label, predicted, model_version, client FROM feedback ORDER BY id DESC LIMIT 1"
        ).one()
    assert row[:4] == (text, 0, 2, VERSION)
    assert re.fullmatch("[0-9a-f]{32}", row[4])


def test_an_unsure_answer_is_called_so(browser, world, expect):
    with visit(browser, world[0].url) as page:
        page.get_by_role("tab", name=LIVE).click()
        analyse(page, "아는 낱말이 없는 글")
        expect(page.get_by_text("모델이 확신하지 못합니다")).to_be_visible()
        expect(page.get_by_test_id("중립-confidence-set")).to_be_visible()
        analyse(page, "최고")
        expect(page.get_by_text("모델이 확신하지 못합니다")).to_have_count(0)


def test_a_suspicious_label_is_corrected_and_leaves_the_list(browser, world, expect, suspects):
    running, store = world
    flag(suspects, (5974, 1), (2295, 1003))
    with visit(browser, running.url) as page:
        page.get_by_role("tab", name=LIVE).click()
        page.get_by_label("라벨이 의심되는 글").click()
        expect(page.get_by_role("option")).to_have_count(2)
        expect(page.get_by_role("option").first).to_contain_text(CANARY)  # a hostile title is text
        page.get_by_role("option", name="[부정 → 긍정?] 비숍 이야기 3").click()
        expect(page.get_by_label("분석한 문장")).to_have_value("비숍 이야기 3")
        expect(page.get_by_text("지금 부정으로 배웠습니다")).to_be_visible()
        link = page.get_by_role("link", name="원문 읽기")
        assert link.get_attribute("href") == "https://www.inven.co.kr/board/maple/2295/1003"
        assert "본문" not in page.locator("main").inner_text()
        page.get_by_role("radio", name="긍정").check()
        page.get_by_role("button", name="의견 보내기").click()
        expect(page.get_by_role("button", name="보냈습니다")).to_be_disabled()
        page.get_by_label("라벨이 의심되는 글").click()
        expect(page.get_by_role("option")).to_have_count(1)
        page.get_by_role("option").click()
        expect(page.get_by_label("분석한 문장")).to_have_value(CANARY)
        expect(page.get_by_role("link", name="원문 읽기")).to_have_count(0)  # its address is no plain one
    with store.reading() as connection:
        row = connection.exec_driver_sql("SELECT text, label, board_id, post_id FROM feedback ORDER BY id DESC").first()
    assert tuple(row) == ("비숍 이야기 3\n본문", 2, 2295, 1003)


def test_too_long_and_empty_texts_are_refused_in_korean(browser, world, expect):
    with visit(browser, world[0].url) as page:
        page.get_by_role("tab", name=LIVE).click()
        analyse(page, "가" * 2001)
        expect(page.locator("div.validation-error")).to_contain_text("2,000자까지")
        analyse(page, "   ")
        expect(page.locator("div.validation-error")).to_contain_text("입력해 주세요")
        expect(page.get_by_label("분석한 문장")).to_have_count(0)


def test_a_phone_needs_no_sideways_scrolling(browser, world):
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
    with visit(browser, world[0].url, **phone) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate("document.documentElement.lang") == "ko"


def test_while_the_first_model_is_loaded_the_page_says_so(browser, tmp_path: Path, expect):
    model = Model(warming_up=True)
    with Store(f"sqlite:///{tmp_path / 'live.db'}") as store:
        fill(store, clock.now())
        with Running(services_of(store, model)) as running, visit(browser, running.url) as page:
            expect(page.get_by_role("status").filter(has_text="모델을 준비하고 있습니다")).to_be_visible()
            page.get_by_role("tab", name=LIVE).click()
            analyse(page, "비숍 갓캐")
            expect(page.get_by_text("모델을 준비하고 있습니다. 잠시 뒤에 다시 분석해 주세요")).to_be_visible()
            model.classifier, model.warming_up = WordClassifier(), False
            page.get_by_role("button", name="분석", exact=True).click()
            expect(page.get_by_text(f"모델 버전 {VERSION}")).to_be_visible()


def test_a_model_that_the_code_cant_read_is_said_to_be_replaced(browser, tmp_path: Path, expect):
    with Store(f"sqlite:///{tmp_path / 'live.db'}") as store:
        fill(store, clock.now())
        with Running(services_of(store, Model(outdated=True))) as running, visit(browser, running.url) as page:
            expect(page.get_by_role("status").filter(has_text="다음 학습이 끝나면 새 모델이")).to_be_visible()
            expect(page.get_by_text("교체 중")).to_be_visible()
            page.get_by_role("tab", name=LIVE).click()
            analyse(page, "비숍 갓캐")
            expect(page.get_by_text("지금 있는 모델은 예전 판의 것이라 쓰지 못합니다. 정답을 보내")).to_be_visible()


def test_first_day_without_posts_or_model(browser, tmp_path: Path, expect):
    with Store(f"sqlite:///{tmp_path / 'empty.db'}") as store:
        with Running(services_of(store, Model())) as running, visit(browser, running.url) as page:
            expect(page.get_by_role("status").filter(has_text="아직 글이 없습니다")).to_be_visible()
            page.get_by_role("tab", name=LIVE).click()
            analyse(page, "첫 문장입니다")
            expect(page.get_by_text("아직 모델이 없습니다")).to_be_visible()
            page.get_by_role("radio", name="중립").check()
            page.get_by_role("button", name="의견 보내기").click()
            expect(page.get_by_role("button", name="보냈습니다")).to_be_disabled()
        store.assign_archive(1)
        rows = store.feedback_of_archive(1)
    assert [(row["text"], row["label"], row["predicted"]) for row in rows] == [("첫 문장입니다", 1, None)]
