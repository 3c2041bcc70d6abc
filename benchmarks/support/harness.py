"""What every benchmark shares: rows of measures beside a named baseline, a table, and a JSON file.

`benchmarks/results/NAME.json`: bench, commit, machine {cores, memory (GiB), python}, rows of
{measure, ours, baseline, baseline_name, ratio, unit}. `ratio` is ours / baseline; null where there is no baseline.
"""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.files import write_json

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of ours beside the baseline's in the same run."""

    measure: str
    ours: float
    unit: str
    baseline: float | None = None
    baseline_name: str | None = None

    @property
    def ratio(self) -> float | None:
        """ours / baseline."""
        return None if not self.baseline else round(self.ours / self.baseline, 4)


def report(bench: str, rows: Sequence[Row], **about: Any) -> None:
    """Print the table and write `benchmarks/results/{bench}.json`; `about` says how it was run."""
    print(table(rows))
    document = {
        "bench": bench,
        "commit": commit(),
        "machine": machine(),
        **({"about": about} if about else {}),
        "rows": [{**asdict(row), "ratio": row.ratio} for row in rows],
    }
    path = RESULTS / f"{bench}.json"
    write_json(path, document)
    print(f"\nwritten to {path.relative_to(ROOT)}")


def earlier(bench: str) -> list[Row]:
    """The rows that `benchmarks/results/{bench}.json` holds; none where there is no such file."""
    path = RESULTS / f"{bench}.json"
    return rows_of(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else []


def rows_of(document: dict[str, Any]) -> list[Row]:
    """The rows of a result as its file holds it."""
    return [Row(**{name: value for name, value in row.items() if name != "ratio"}) for row in document["rows"]]


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| measure | ours | unit | baseline | ratio |", "|---|---:|---|---|---:|"]
    for row in rows:
        baseline = "–" if row.baseline is None else f"{number(row.baseline)} ({row.baseline_name})"
        ratio = "–" if row.ratio is None else f"{row.ratio:.3g}"
        lines.append(f"| `{row.measure}` | {number(row.ours)} | {row.unit} | {baseline} | {ratio} |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Four significant digits, and never fewer than the whole number has: 0.6851, 1,507, 56,670."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def commit() -> str:
    """The commit that was measured, with `+` when the checkout has changes."""
    head = _git("rev-parse", "--short", "HEAD")
    return head + ("+" if _git("status", "--porcelain") else "")


def machine() -> dict[str, Any]:
    """Cores that this process may use, memory in GiB, Python's version."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cores": len(os.sched_getaffinity(0)), "memory": round(memory, 1), "python": platform.python_version()}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
