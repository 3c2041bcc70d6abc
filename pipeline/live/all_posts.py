"""The old system's posts, `all_posts.csv` (게시판,번호,제목,본문,링크): read into the live database, and written.

    python -m pipeline.live.all_posts import all_posts.csv [--date 2025-06-30]
    python -m pipeline.live.all_posts export all_posts.csv [--for-spreadsheet]

Import: rows that can't be read are listed with their line; the others go in. Post ids repeat across boards, so the
board is read from the link where that leads to a post of Inven's, else from 게시판. The file has no times: every post
of it counts as posted on `--date` (default: the day the file was last changed). Texts are normalised as the crawler
does it. A title may begin with its category, `[히어로] …`; a label that the domain's table does not know stays part of
the title.
Export: texts as they are stored, so that a file that is imported again gives the same. `--for-spreadsheet` puts a '
before what a spreadsheet would take for a formula: for people to open, not to be imported.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline import boards, clock, errors, settings
from pipeline.addresses import LARGEST, post_address, post_of
from pipeline.files import DataFileError, export_csv, formula_safe, read_table
from pipeline.live.imported import Imported
from pipeline.live.records import Post
from pipeline.live.store import Store
from pipeline.text import normalise

COLUMNS = ("게시판", "번호", "제목", "본문", "링크")
_BATCH = 1000  # posts in one transaction
_LABEL = re.compile(r"\[([^\[\]]{1,30})\]\s*")
_FILTER = re.compile(r"(게시판)?(_[0-9]+추)?$")  # what the old system's crawler called a filtered list
_BOARDS = {
    name: board
    for board in boards.BOARDS
    for name in (board.name.replace(" ", "").removesuffix("게시판"), str(board.id))
}


def import_posts(store: Store, path: Path, day: date | None = None) -> Imported:
    """Store the posts of an `all_posts.csv`. Raises DataFileError when it is no such file at all.

    They come in as pending posts, in the file's order. Running it again adds nothing.
    """
    done = Imported()
    found = _posts(path, day, done)
    while portion := list(islice(found, _BATCH)):
        done.new += store.add_posts(portion)
    return done


def export_posts(store: Store, path: Path, *, for_spreadsheet: bool = False) -> int:
    """Write every stored post under the old columns, in order of collection. Returns how many there are.

    The title begins with its category, as in the old file.
    """
    count = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal count
        for row in store.stored_posts():
            count += 1
            cells = {
                "게시판": boards.board(row["board_id"]).name,
                "번호": row["post_id"],
                "제목": f"[{row['category']}] {row['title']}" if row["category"] else row["title"],
                "본문": row["body"],
                "링크": row["url"],
            }
            yield {name: formula_safe(cell) for name, cell in cells.items()} if for_spreadsheet else cells

    export_csv(path, rows(), COLUMNS)
    return count


def _posts(path: Path, day: date | None, done: Imported) -> Iterator[Post]:
    rows = read_table(path, COLUMNS)
    now = clock.now()
    if day is None:  # a file dated ahead was saved by a clock that was wrong: its posts would show up years from now
        day = min(datetime.fromtimestamp(path.stat().st_mtime, clock.KST), now).date()
    elif day > now.date():
        raise DataFileError(f"--date {day} lies in the future: posts dated ahead would not show before that day")
    posted_at = datetime.combine(day, time(), clock.KST)
    for row in rows:
        done.rows += 1
        try:
            if row.problem:
                raise ValueError(row.problem)
            yield _post([row.fields[name] for name in COLUMNS], posted_at, now)
        except ValueError as error:
            done.bad.append((row.line, str(error)))


def _post(values: list[str], posted_at: datetime, now: datetime) -> Post:
    """A row as a post. Raises ValueError that says what is wrong with it."""
    board_name, number, subject, body, link = values
    linked = post_of(link)
    board = _BOARDS.get(_FILTER.sub("", "".join(normalise(board_name).split())))
    if linked is not None:  # the link knows better than a name
        board = _BOARDS.get(str(linked[0]))
    if board is None:
        raise ValueError(f"no board in 링크 ({link[:80]!r}) nor in 게시판 ({board_name[:40]!r})")
    number = number.strip().replace(",", "").removesuffix(".0")  # as pandas writes a column that once had gaps
    if not (number.isascii() and number.isdigit() and 0 < int(number[:12]) <= LARGEST):
        raise ValueError(f"번호 is no post id: {number[:40]!r}")
    if linked is not None and linked[1] != int(number):
        raise ValueError(f"번호 is {number}, but 링크 leads to {linked[1]}")
    title = " ".join(normalise(subject).split())
    category = None
    # A title may begin with a bracket of the writer's own: only a label that the board has is a category.
    if (match := _LABEL.match(title)) and boards.is_known(board.id, match[1]):
        category, title = match[1], title[match.end() :]
    body = normalise(body)
    if not title and not body:
        raise ValueError("neither 제목 nor 본문 says anything")
    job = boards.job_of_post(board.id, category, title)
    return Post(
        board_id=board.id,
        post_id=int(number),
        category=category,
        job_group=boards.group_of(board.id, job),
        job=job.name if job else None,
        title=title,
        body=body,
        url=post_address(board.id, int(number)),
        posted_at=posted_at,
        collected_at=now,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m pipeline.live.all_posts import|export FILE`."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.live.all_posts", description="The old system's all_posts.csv"
    )
    actions = parser.add_subparsers(dest="action", required=True)
    importing = actions.add_parser("import", help="store a file's posts; bad rows are listed with their lines")
    importing.add_argument("--date", type=date.fromisoformat, help="when they were posted (default: the file's date)")
    exporting = actions.add_parser("export", help="write every stored post")
    exporting.add_argument(
        "--for-spreadsheet", action="store_true", help="no text is a formula; not to be imported again"
    )
    for action in (importing, exporting):
        action.add_argument("file", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    with Store(settings.load().database_url) as store:
        if given.action == "import":
            print(import_posts(store, given.file, given.date))
        else:
            count = export_posts(store, given.file, for_spreadsheet=given.for_spreadsheet)
            print(f"{count:,} posts written to {given.file}")


if __name__ == "__main__":
    errors.run(main)
