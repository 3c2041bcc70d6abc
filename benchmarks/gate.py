"""Gate: do the gate's counts and the crawler's questions cost the same when two million posts are stored?

    make bench BENCH=gate

Posts are made in bulk in a temporary SQLite database, 5,000 a day, all but 412 of them in chunks of a thousand. The
crawler asks which of a list page's ids are known, and whether a board is due. The baseline is what the old system did:
read the CSV of the same posts, then count, or look the forty ids up. Milliseconds, medians; the CSV of many posts is
read once.
"""

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.support.harness import Row, report
from pipeline import errors
from pipeline.clock import KST
from pipeline.inven import visits
from pipeline.live.store import Store

PENDING = 412
IDS = 40  # on a list page; half of them are known
REPEATS = 200
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=KST)

_FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO posts (seq, board_id, post_id, category, job_group, job, title, body, url, posted_at, collected_at,
                   views, recommends, comments, chunk, keywords)
SELECT i, CASE i % 6 WHEN 0 THEN 2294 WHEN 1 THEN 2295 WHEN 2 THEN 2296 WHEN 3 THEN 2297 WHEN 4 THEN 2298 ELSE 5974 END,
       400000 + i / 6, '히어로', '전사', '히어로', '이번 패치 어떻게 생각하시나요 ' || i,
       '솔직히 이번에는 꽤 잘 나온 것 같은데 보스 패턴은 여전히 불편하네요. 다음 패치를 기다려 봅니다. ' || i,
       'https://www.inven.co.kr/board/maple/2294/' || i,
       strftime('%Y-%m-%dT%H:%M:%S+09:00', '2026-11-22 12:00:00', '-' || ((:count - i) * 17) || ' seconds'),
       '2026-11-22T12:00:00+09:00',
       i % 3000, i % 40, i % 17, CASE WHEN i > :count - :pending THEN NULL ELSE (i + 999) / 1000 END, '패치 보스'
FROM n
"""


def main() -> None:
    """Measure at two sizes, print the table, write benchmarks/results/gate.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=[10_000, 2_000_000], help="stored posts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="maple-gate-") as folder, ExitStack() as stack:
        small, large = measure([stack.enter_context(filled(Path(folder), size)) for size in given.sizes])
    rows = []
    for name in ("gate", "known"):
        for label, at in (("10k", small), ("2m", large)):
            rows.append(Row(f"{name}_ms_{label}", at[name], "ms", at[f"{name}_csv"], "read the CSV"))
        growth = Row(f"{name}_growth", large[name], "ms at 2m", small[name], "ours at 10k")
        rows.append(growth)
    rows += [Row("due_ms_10k", small["due"], "ms"), Row("due_ms_2m", large["due"], "ms", small["due"], "ours at 10k")]
    report("gate", rows, sizes=given.sizes, pending=PENDING, ids=IDS, repeats=REPEATS)


@dataclass(frozen=True)
class Filled:
    """A database with that many posts, and the old system's file of the same."""

    store: Store
    size: int
    path: Path

    @property
    def ids(self) -> list[int]:
        """What a list page asks about: half of it is stored."""
        middle = 400_000 + self.size // 12
        return [*range(middle, middle + IDS // 2), *range(9_000_000, 9_000_000 + IDS // 2)]

    def gate(self) -> None:
        """What the gate asks the database."""
        posts, _ = self.store.count_pending()
        assert posts == PENDING
        assert self.store.last_chunk() == -(-(self.size - PENDING) // 1000)
        self.store.last_archive()

    def known(self) -> None:
        """What the crawler asks for each list page."""
        assert len(self.store.known_posts(2295, self.ids)) == IDS // 2

    def due(self) -> None:
        """What the crawler asks of each board before it visits it: about 31 of its posts fall into an hour."""
        found = visits.outlook(self.store, 2295, NOW + timedelta(minutes=30), expected_new=25, max_wait=60)
        assert not found.due, found


@contextmanager
def filled(folder: Path, size: int) -> Iterator[Filled]:
    """Make the posts."""
    with Store(f"sqlite:///{folder}/posts-{size}.db") as store:
        started = time.perf_counter()
        with store.writing() as connection:
            connection.execute(text(_FILL), {"count": size, "pending": PENDING})
        visits.end(store, 2295, NOW)
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # One transaction of a gigabyte leaves a log that every read has to search; real life has small ones.
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        path = folder / f"all_posts-{size}.csv"
        write_old_file(store, path)
        print(f"{size:,} posts made in {time.perf_counter() - started:.0f} s", flush=True)
        yield Filled(store, size, path)


def measure(places: Sequence[Filled]) -> list[dict[str, float]]:
    """Median milliseconds at each size; the sizes take turns, so that what else runs here meets both alike."""
    found: list[dict[str, list[float]]] = [{"gate": [], "known": [], "due": []} for _ in places]
    for _ in range(REPEATS + 1):
        for place, times in zip(places, found, strict=True):
            times["gate"].append(milliseconds(place.gate))
            times["known"].append(milliseconds(place.known))
            times["due"].append(milliseconds(place.due))
    results = [{name: round(statistics.median(taken[1:]), 4) for name, taken in times.items()} for times in found]
    for place, result in zip(places, results, strict=True):
        repeats = 1 if place.size > 100_000 else 5
        wanted = {str(post_id) for post_id in place.ids}
        old_ways: dict[str, Callable[[], Any]] = {
            "gate_csv": lambda path=place.path: len(read_old_file(path)),  # type: ignore[misc]
            "known_csv": lambda path=place.path, ids=wanted: {row[1] for row in read_old_file(path)} & ids,  # type: ignore[misc]
        }
        for name, old_way in old_ways.items():
            result[name] = round(statistics.median(milliseconds(old_way) for _ in range(repeats)), 1)
    return results


def write_old_file(store: Store, path: Path) -> None:
    """The posts as the old system kept them."""
    with path.open("w", encoding="utf-8-sig", newline="") as file, store.reading() as connection:
        writer = csv.writer(file)
        writer.writerow(["게시판", "번호", "제목", "본문", "링크"])
        query = text("SELECT job_group, post_id, title, body, url FROM posts ORDER BY seq")
        for row in connection.execution_options(yield_per=10_000).execute(query):
            writer.writerow(row)


def read_old_file(path: Path) -> list[list[str]]:
    """Every row, as reading the file means it."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def milliseconds(action: Callable[[], Any]) -> float:
    """Wall-clock milliseconds of one turn."""
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    errors.run(main)
