"""The client's manners and its answers to a site that misbehaves, over a real port of localhost."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

import pytest
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from pipeline.inven import polite, robots
from pipeline.inven.client import BoardBlocked, InvenClient, RobotsDisallowed, SiteUnavailable
from pipeline.inven.records import Article, Failure, ListPage
from tests.support.replay_server import START, ReplayServer, cut_off, drafts, never, page, timetable

T = TypeVar("T")
Serve = Callable[..., ReplayServer]
LIST = "/board/maple/2294?p=1"
POST = "/board/maple/2294/457001"


class Time:
    """A clock on which only waiting takes time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def hooks(self) -> dict[str, Any]:
        return {
            "sleep": self.sleep,
            "monotonic": lambda: self.now,
            "wall": lambda: START + timedelta(seconds=self.now - 1000.0),
        }


def run(server: ReplayServer, use: Callable[[InvenClient], Awaitable[T]], **manners: Any) -> T:
    async def within() -> T:
        async with server.client(**manners) as client:
            return await use(client)

    return asyncio.run(within())


def at(path: str, answer: Any, times: int = 10**9) -> Callable[[str, int], Any]:
    """A fault: this answer the first `times` times that a path is asked for."""
    return lambda asked, count: answer if asked == path and count < times else None


@pytest.fixture
def server(serve: Serve) -> ReplayServer:
    return serve(timetable(drafts(3)))


def get_list(client: InvenClient) -> Awaitable[ListPage | Failure]:
    return client.get_list(2294, 1)


def get_post(client: InvenClient) -> Awaitable[Article | Failure]:
    return client.get_article(2294, 457001)


# --- manners ------------------------------------------------------------------------------------------


def test_records_come_back_and_the_user_agent_is_honest(server: ReplayServer) -> None:
    async def use(client: InvenClient) -> None:
        listed = await client.get_list(2294, 1)
        assert isinstance(listed, ListPage)
        assert [row.post_id for row in listed.rows] == [457003, 457002, 457001]
        article = await client.get_article(2294, 457001)
        assert isinstance(article, Article)
        assert article.body == "본문 0 <b>&amp;\n둘째 줄 0"

    run(server, use)
    assert server.agents == {"maple-pulse/0.1 (+test@example.org)"}
    assert server.paths == ["/robots.txt", LIST, POST]


def test_views_ask_for_recommended_posts(serve: Serve) -> None:
    own = timetable([*drafts(1, recommends=9), *drafts(1, recommends=10), *drafts(1, recommends=30)])
    server = serve(own)

    async def use(client: InvenClient) -> list[int]:
        pages = [await client.get_list(2294, 1, view) for view in (None, "chu", "chuchu")]
        return [len(found.rows) for found in pages if isinstance(found, ListPage)]

    assert run(server, use) == [3, 2, 1]


async def four(client: InvenClient) -> None:
    await asyncio.gather(*(client.get_list(2294, 1) for _ in range(4)))


def test_requests_start_min_interval_apart(server: ReplayServer) -> None:
    clock = Time()
    run(server, four, min_interval=1.5, jitter=0.5, **clock.hooks())
    assert len(clock.waits) == 4
    assert all(1.5 <= wait <= 2.0 for wait in clock.waits)
    assert len(set(clock.waits)) > 1


def test_the_interval_is_kept_on_the_wall_clock_too(server: ReplayServer) -> None:
    run(server, four, min_interval=0.1)
    assert server.times[-1] - server.times[0] > 0.35


def test_crawl_delay_and_request_rate_lengthen_the_interval(server: ReplayServer) -> None:
    for rule in ("Crawl-delay: 7", "Request-rate: 1/7"):
        server.replay.robots = f"User-agent: *\n{rule}\n"
        clock = Time()
        run(server, get_list, min_interval=1.5, **clock.hooks())
        run(server, get_list, min_interval=9, **clock.hooks())
        assert clock.waits == [7, 9]


def test_robots_are_obeyed(server: ReplayServer) -> None:
    server.replay.robots = "User-agent: *\nDisallow: /board/maple/2294\n"

    async def use(client: InvenClient) -> None:
        with pytest.raises(RobotsDisallowed, match=r"crawl\.boards"):
            await client.get_list(2294, 1)
        assert isinstance(await client.get_list(2295, 1), ListPage)

    run(server, use)
    assert LIST not in server.paths


def test_rules_for_our_own_name_count(server: ReplayServer) -> None:
    server.replay.robots = "User-agent: maple-pulse\nDisallow: /\n\nUser-agent: *\nAllow: /\n"
    with pytest.raises(RobotsDisallowed):
        run(server, get_list)


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("", 500),
        PlainTextResponse("", 403),
        PlainTextResponse("User-agent", 429),
        page("<!DOCTYPE html><html>hello</html>"),
        RedirectResponse("http://127.0.0.1:1/robots.txt"),
        cut_off,
        never,
    ],
)
def test_unknown_rules_forbid_everything(server: ReplayServer, answer: Any) -> None:
    server.fault = at("/robots.txt", answer)
    with pytest.raises(SiteUnavailable, match="nothing is requested"):
        run(server, get_list, max_attempts=2, timeout=0.3)
    assert server.count("list") == 0


def test_no_robots_file_allows_everything_and_a_burst_of_errors_passes(server: ReplayServer) -> None:
    server.fault = at("/robots.txt", PlainTextResponse("nothing here", 404))
    assert isinstance(run(server, get_list), ListPage)
    server.fault = at("/robots.txt", PlainTextResponse("", 503), times=server.count("robots") + 2)
    assert isinstance(run(server, get_list), ListPage)


def test_robots_are_read_again_after_a_day(server: ReplayServer) -> None:
    clock = Time()

    async def use(client: InvenClient) -> None:
        await client.get_list(2294, 1)
        clock.now += robots.AGE + 1
        server.replay.robots = "User-agent: *\nDisallow: /\n"
        with pytest.raises(RobotsDisallowed):
            await client.get_list(2294, 1)

    run(server, use, **clock.hooks())
    assert server.count("robots") == 2


def test_a_site_that_is_not_there(server: ReplayServer) -> None:
    async def use() -> None:
        async with InvenClient(
            "http://127.0.0.1:1", contact="", min_interval=0, jitter=0, max_attempts=2, backoff=0.01
        ):
            pass

    with pytest.raises(SiteUnavailable, match="INVEN_URL"):
        asyncio.run(use())


@pytest.mark.parametrize(("url", "contact"), [("ftp://x", ""), ("inven", ""), ("http://x", "나"), ("http://x", "a\nb")])
def test_arguments_that_can_not_be_sent_are_refused(url: str, contact: str) -> None:
    with pytest.raises(ValueError, match=r"address|ASCII"):
        InvenClient(url, contact=contact)


# --- trouble ------------------------------------------------------------------------------------------


def test_a_burst_of_errors_is_waited_out_with_growing_pauses(server: ReplayServer) -> None:
    clock = Time()
    server.fault = at(LIST, PlainTextResponse("", 500), times=3)
    assert isinstance(run(server, get_list, max_attempts=4, backoff=2.0, **clock.hooks()), ListPage)
    assert [2 * 2**n <= wait <= 2 * 2**n + 2 for n, wait in enumerate(clock.waits)] == [True, True, True]


def test_errors_without_end_are_an_exception(server: ReplayServer) -> None:
    server.fault = at(LIST, PlainTextResponse("", 502))
    with pytest.raises(SiteUnavailable, match="HTTP 502"):
        run(server, get_list)
    assert server.count("list") == 3


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("dated", [False, True])
def test_retry_after_is_honoured(server: ReplayServer, status: int, dated: bool) -> None:
    clock = Time()
    value = format_datetime(START + timedelta(seconds=42)) if dated else "42"
    server.fault = at(LIST, page("wait", status, retry_after=value), times=1)
    assert isinstance(run(server, get_list, **clock.hooks()), ListPage)
    assert clock.waits == [pytest.approx(42, abs=1)]


def test_a_retry_after_beyond_patience_ends_the_attempts(server: ReplayServer) -> None:
    clock = Time()
    server.fault = at(LIST, page("wait", 503, retry_after="86400"))
    with pytest.raises(SiteUnavailable, match="86400 s"):
        run(server, get_list, **clock.hooks())
    assert clock.waits == []
    assert server.count("list") == 1


@pytest.mark.parametrize("value", ["soon", "-5", "٣", "", "Thu, 99 Nov 2026 00:00:00 GMT"])
def test_a_senseless_retry_after_is_ignored(server: ReplayServer, value: str) -> None:
    server.fault = at(LIST, lambda *_: None, times=0)
    client = InvenClient(server.url, contact="")
    assert client._retry_after(value) == 0.0


@pytest.mark.parametrize("status", [403, 429])
def test_a_board_that_refuses_three_times_is_left_alone(server: ReplayServer, status: int) -> None:
    clock = Time()
    server.fault = lambda path, count: page("no", status) if "/2294" in path else None

    async def use(client: InvenClient) -> None:
        for _ in range(2):
            refused = await client.get_list(2294, 1)
            assert isinstance(refused, Failure)
            assert refused.kind == "refused"
        with pytest.raises(BoardBlocked, match="min_interval"):
            await client.get_list(2294, 1)
        asked = server.count("list")
        with pytest.raises(BoardBlocked):
            await client.get_article(2294, 457001)
        assert server.count("list") == asked
        assert isinstance(await client.get_list(2295, 1), ListPage)  # other boards go on
        clock.now += 3600
        with pytest.raises(BoardBlocked):  # one request tries again
            await client.get_list(2294, 1)
        assert server.count("list") > asked + 1
        clock.now += 3600
        server.fault = lambda path, count: None
        assert isinstance(await client.get_list(2294, 1), ListPage)

    run(server, use, **clock.hooks())


def test_a_success_between_refusals_starts_the_count_anew(server: ReplayServer) -> None:
    server.fault = lambda path, count: page("no", 403) if path == LIST and count % 3 != 2 else None

    async def use(client: InvenClient) -> list[str]:
        return [type(await client.get_list(2294, 1)).__name__ for _ in range(6)]

    assert run(server, use) == ["Failure", "Failure", "ListPage"] * 2


@pytest.mark.parametrize(
    ("answer", "kind", "requests"),
    [
        (page("not found", 404), "gone", 1),
        (page("not found", 410), "gone", 1),
        (page("who are you", 401), "login", 1),
        (page("what", 400), "drift", 1),
        (page("<html><body>요청하신 페이지를 찾을 수 없습니다."), "gone", 3),
        (page("<html><body>half an article"), "drift", 3),
        (cut_off, "drift", 3),
        (PlainTextResponse("x" * (polite.LARGEST_RESPONSE + 1)), "drift", 1),
        (RedirectResponse("http://127.0.0.1:1/board"), "drift", 1),
        (RedirectResponse("https://member.example/login"), "login", 1),
        (RedirectResponse("/staff/secret"), "drift", 1),
        (RedirectResponse("http://["), "drift", 1),
        (RedirectResponse(POST), "drift", 6),
        (Response(b"\x1f\x8bbroken", headers={"content-encoding": "gzip"}), "drift", 3),
    ],
)
def test_answers_that_are_no_article(server: ReplayServer, answer: Any, kind: str, requests: int) -> None:
    server.fault = at(POST, answer)
    result = run(server, get_post)
    assert isinstance(result, Failure)
    assert result.kind == kind
    assert result.url == server.url + POST
    assert server.paths.count(POST) == requests
    assert "/staff/secret" not in server.paths


def test_a_cut_off_answer_is_asked_for_again(server: ReplayServer) -> None:
    server.fault = at(POST, cut_off, times=2)
    assert isinstance(run(server, get_post), Article)


def test_a_redirect_on_the_same_host_is_followed(server: ReplayServer) -> None:
    server.fault = at(POST, RedirectResponse("/board/maple/2294/457002"))
    result = run(server, get_post)
    assert isinstance(result, Article)
    assert result.title == "글 제목 1"


def test_a_silent_server_is_given_up_in_time(server: ReplayServer) -> None:
    server.fault = at(LIST, never)
    started = time.monotonic()
    with pytest.raises(SiteUnavailable, match="Timeout"):
        run(server, get_list, timeout=0.2, max_attempts=2)
    assert time.monotonic() - started < 5


def test_a_dripping_server_is_given_up_in_time(server: ReplayServer) -> None:
    async def drip(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b".", "more_body": True})
            await asyncio.sleep(0.05)

    server.fault = at(LIST, drip)
    started = time.monotonic()
    with pytest.raises(SiteUnavailable):
        run(server, get_list, timeout=0.2, max_attempts=1)
    assert time.monotonic() - started < 4


def test_a_failure_carries_the_page_for_quarantine(server: ReplayServer) -> None:
    html = "<html><body><div id='tbArticle'>새 모양</div></body></html>"
    server.fault = at(POST, page(html))
    result = run(server, get_post)
    assert isinstance(result, Failure)
    assert result.content == html.encode()
    assert "새 모양" not in repr(result)
