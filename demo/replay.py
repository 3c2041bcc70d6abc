"""A replay of Inven's boards on localhost, for the demo, tests and benchmarks. It serves any file of posts.

    python -m demo.replay --posts demo/posts.jsonl --port 8100 --initial 300 --per-minute 30

Then INVEN_URL=http://127.0.0.1:8100 and, for the mobile site, INVEN_MOBILE_URL=http://127.0.0.1:8100/m. List pages
(?p=, ?my=chu, ?my=chuchu), post pages and robots.txt look like Inven's, and comments come as its JSON;
GET /_replay/state tells what is visible and what has been asked.
"""

import argparse
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from demo.replay_comments import comment_json
from demo.replay_mobile import PREFIX, mobile_article_page, mobile_list_page
from demo.replay_pages import article_page, gone_page, list_page
from demo.replay_posts import ReplayPost, read_posts, schedule
from pipeline import boards, clock, errors

# The paths that crawlers report as disallowed on the real site.
ROBOTS = "User-agent: *\nDisallow: /board/prevnext.php\nDisallow: /powerbbs/prevnext.php\nDisallow: /staff/\n"
VIEWS = {"chu": 10, "chuchu": 30}  # least recommendations


class Replay:
    """The state behind the pages: which posts there are by now, and what has been requested."""

    def __init__(self, posts: Sequence[ReplayPost], now: Callable[[], datetime]) -> None:
        self.now = now
        self.robots = ROBOTS
        self.requests: Counter[tuple[str, int]] = Counter()  # (kind, board)
        self._posts: dict[int, list[ReplayPost]] = {}
        for post in sorted(posts, key=lambda post: post.post_id):
            self._posts.setdefault(post.board_id, []).append(post)
        self._times = {board: [post.appears_at for post in own] for board, own in self._posts.items()}
        self._by_id = {(post.board_id, post.post_id): post for post in posts}
        self._removed: set[tuple[int, int]] = set()

    def visible(self, board_id: int) -> list[ReplayPost]:
        """The posts of a board that are listed now, oldest first."""
        count = bisect_right(self._times.get(board_id, []), self.now())
        posts = self._posts.get(board_id, [])[:count]
        if self._removed:
            posts = [post for post in posts if (board_id, post.post_id) not in self._removed]
        return posts

    def page(self, board_id: int, number: int, view: str | None) -> list[ReplayPost]:
        """The posts of a list page, newest first; none beyond the last page."""
        posts = self.visible(board_id)
        if view in VIEWS:
            posts = [post for post in posts if post.recommends >= VIEWS[view]]
        end = len(posts) - (number - 1) * boards.board(board_id).rows
        return posts[max(0, end - boards.board(board_id).rows) : end][::-1] if end > 0 else []

    def find(self, board_id: int, post_id: int) -> ReplayPost | None:
        """A post that can be read now."""
        post = self._by_id.get((board_id, post_id))
        if post is None or post.deleted or post.appears_at > self.now():
            return None
        return None if (board_id, post_id) in self._removed else post

    def remove(self, board_id: int, post_id: int) -> None:
        """Delete a post as its writer would: from the list too, so that later ones move up."""
        self._removed.add((board_id, post_id))

    def edit(self, board_id: int, post_id: int, **changes: Any) -> None:
        """Change a post as its writer would: `title`, `body`, `category`, `comments`."""
        post = replace(self._by_id[board_id, post_id], **changes)
        self._by_id[board_id, post_id] = post
        self._posts[board_id] = [post if each.post_id == post_id else each for each in self._posts[board_id]]

    def restore(self, board_id: int, post_id: int) -> None:
        """Take back a deletion, as a moderator would."""
        self._removed.discard((board_id, post_id))

    def state(self, every_id: bool) -> dict[str, object]:
        """What /_replay/state shows: counts and ids by board, and requests by kind and by board."""
        kinds: Counter[str] = Counter()
        by_board: dict[str, dict[str, int]] = {}
        for (kind, board_id), count in self.requests.items():
            kinds[kind] += count
            if board_id:
                by_board.setdefault(str(board_id), {})[kind] = count
        visible = {board_id: self.visible(board_id) for board_id in sorted(self._posts)}
        return {
            "now": clock.iso(self.now()),
            "posts": len(self._by_id),
            "visible": {str(board_id): len(posts) for board_id, posts in visible.items()},
            "ids": {
                str(board_id): [post.post_id for post in (posts if every_id else [posts[0], posts[-1]])]
                for board_id, posts in visible.items()
                if posts
            },
            "gone": sum(post.deleted for posts in visible.values() for post in posts),
            "requests": dict(kinds),
            "requests_by_board": by_board,
        }


def make_app(posts: Sequence[ReplayPost], now: Callable[[], datetime] = clock.now) -> Starlette:
    """The replay as an ASGI app; its Replay is `app.state.replay`. `now` decides which posts have appeared."""
    replay = Replay(posts, now)

    async def robots(request: Request) -> Response:
        replay.requests["robots", 0] += 1
        return PlainTextResponse(replay.robots)

    async def board_list(request: Request) -> Response:
        board_id = request.path_params["board"]
        if board_id not in {board.id for board in boards.BOARDS}:
            replay.requests["gone", 0] += 1
            return HTMLResponse(gone_page(), status_code=404)
        replay.requests["list", board_id] += 1
        number = _page_number(request)
        view = request.query_params.get("my")
        carried = urlencode([(key, value) for key, value in request.query_params.items() if key != "p"])
        posts = replay.page(board_id, number, view)
        return HTMLResponse(list_page(boards.board(board_id), number, posts, replay.now(), query=carried))

    async def article(request: Request) -> Response:
        board_id, post_id = request.path_params["board"], request.path_params["post"]
        post = replay.find(board_id, post_id)
        replay.requests["article" if post else "gone", board_id] += 1
        return HTMLResponse(article_page(post) if post else gone_page())

    async def mobile_list(request: Request) -> Response:
        board = boards.board(request.path_params["board"])
        replay.requests["mobile-list", board.id] += 1
        number = _page_number(request)
        posts = replay.page(board.id, number, request.query_params.get("my"))
        return HTMLResponse(mobile_list_page(board, number, posts, replay.now()))

    async def mobile_article(request: Request) -> Response:
        board_id, post_id = request.path_params["board"], request.path_params["post"]
        post = replay.find(board_id, post_id)
        replay.requests["mobile-article", board_id] += 1
        return HTMLResponse(mobile_article_page(post) if post else gone_page())

    async def comments(request: Request) -> Response:
        asked = dict(parse_qsl((await request.body()).decode("utf-8", errors="replace")))
        board_id, post_id = (int(asked.get(name, "")[:12] or 0) for name in ("comeidx", "articlecode"))
        post = replay.find(board_id, post_id)
        replay.requests["comments", board_id] += 1
        return JSONResponse(comment_json(post, asked.get("titles", "")) if post else {"message": 0})

    async def state(request: Request) -> Response:
        return JSONResponse(replay.state("all" in request.query_params))

    app = Starlette(
        routes=[
            Route("/robots.txt", robots),
            Route("/board/maple/{board:int}", board_list),
            Route("/board/maple/{board:int}/{post:int}", article),
            Route(f"{PREFIX}/robots.txt", robots),
            Route(f"{PREFIX}/board/maple/{{board:int}}", mobile_list),
            Route(f"{PREFIX}/board/maple/{{board:int}}/{{post:int}}", mobile_article),
            Route("/common/board/comment.json.php", comments, methods=["POST"]),
            Route("/_replay/state", state),
        ]
    )
    app.state.replay = replay
    return app


def _page_number(request: Request) -> int:
    asked = request.query_params.get("p", "1")
    return max(1, int(asked)) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a file of posts until interrupted. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.replay", description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=Path, nargs="+", required=True, help="JSON Lines or TSV files, folders")
    parser.add_argument("--text-column", help="the files are TSV; this column holds the texts")
    parser.add_argument("--board", type=int, default=boards.FREE_BOARD, help="the board of TSV texts")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--initial", type=int, help="posts that are there at the start (default: all)")
    parser.add_argument("--per-minute", type=float, default=0.0, help="posts that appear as time passes")
    parser.add_argument("--deleted", type=int, default=0, help="posts that are listed but gone")
    parser.add_argument("--seed", type=int, help="shuffle the posts with this seed")
    given = parser.parse_args(arguments)
    if given.board not in {board.id for board in boards.BOARDS}:
        parser.error(f"--board {given.board} is none of {', '.join(str(board.id) for board in boards.BOARDS)}")
    posts = schedule(
        read_posts(given.posts, text_column=given.text_column, board_id=given.board),
        start=clock.now(),
        initial=given.initial,
        per_minute=given.per_minute,
        deleted=given.deleted,
        seed=given.seed,
    )
    print(f"Inven replay: http://127.0.0.1:{given.port} with {len(posts)} posts (Ctrl+C ends it)", flush=True)
    uvicorn.run(make_app(posts), host="127.0.0.1", port=given.port, log_level="warning")
    return 0


if __name__ == "__main__":
    errors.run(main)
