"""Benchmark tables: pages show what the result files say, and a stale page, an unknown name or a lost end is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import tables
from benchmarks.support import harness
from benchmarks.support.harness import Row, number, table
from benchmarks.support.markdown import PageError, filled, refresh
from tests.support import ROOT


def test_results_and_root_are_where_the_project_has_them() -> None:
    assert harness.ROOT == ROOT
    assert harness.RESULTS == ROOT / "benchmarks" / "results"
    assert (harness.RESULTS / "loop.json").exists()


def test_the_committed_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tables", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.00012344, "0.0001234"), (0.6851, "0.6851"), (19.51, "19.51"), (1506.6, "1,507"), (56671, "56,671")],
)
def test_numbers_keep_four_digits_and_every_whole_one(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_row_shows_its_baseline_and_ratio() -> None:
    rows = [Row("seconds", 2.0, "s", 8.0, "before"), Row("lost", 0, "posts")]
    assert table(rows).splitlines()[2:] == [
        "| `seconds` | 2 | s | 8 (before) | 0.25 |",
        "| `lost` | 0 | posts | – | – |",
    ]


def test_a_changed_result_makes_the_page_stale_until_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {
        "bench": "loop",
        "commit": "abc1234",
        "machine": {"cores": 1, "memory": 8.0, "python": "3.11.7"},
        "about": {"load": [0.5, 1.23456], "nsmc": {"replaced_seeds": 1}},
        "rows": [
            {
                "measure": "posts_lost",
                "ours": 0,
                "unit": "posts",
                "baseline": None,
                "baseline_name": None,
                "ratio": None,
            }
        ],
    }
    (tmp_path / "loop.json").write_text(json.dumps(document), encoding="utf-8")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    page = tmp_path / "README.md"
    page.write_text("# 표\n\n<!-- results loop -->\n<!-- end results -->\n\nafter\n", encoding="utf-8")

    assert refresh([page], "results", tables.make, check=True) == 1
    assert "make fix" in capsys.readouterr().err
    assert refresh([page], "results", tables.make, check=False) == 0
    text = page.read_text(encoding="utf-8")
    assert "| `posts_lost` | 0 | posts | – | – |" in text
    assert "Taken at `abc1234` on 1 core, 8.0 GiB, Python 3.11.7; load 0.5, 1.23; nsmc (replaced seeds 1)." in text
    assert text.endswith("<!-- end results -->\n\nafter\n")
    assert refresh([page], "results", tables.make, check=True) == 0

    document["rows"][0]["ours"] = 7  # type: ignore[index]
    (tmp_path / "loop.json").write_text(json.dumps(document), encoding="utf-8")
    assert refresh([page], "results", tables.make, check=True) == 1
    assert page.read_text(encoding="utf-8") == text


def test_an_unknown_name_and_a_lost_end_are_told(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("<!-- results nothing -->\n<!-- end results -->\n", encoding="utf-8")
    with pytest.raises(PageError, match=r"README\.md: .*no benchmarks/results/nothing\.json"):
        refresh([page], "results", tables.make, check=True)
    with pytest.raises(PageError, match=r"1 .* but 0"):
        filled("<!-- results loop -->\ntext that must stay\n", "results", tables.make)


def test_summaries_say_what_the_files_say() -> None:
    quality = {row["measure"]: row for row in json.loads((harness.RESULTS / "quality.json").read_text())["rows"]}
    steam = quality["steam_accuracy"]
    assert f"| {steam['ours']:.3f} | {steam['baseline']:.3f} |" in tables.make("classifier")
    label = {row["measure"]: row for row in json.loads((harness.RESULTS / "label.json").read_text())["rows"]}
    assert f"| {label['gold_kappa']['ours']:.3f} |" in tables.make("labeler")
    assert tables.make("incremental_choices").count("\n| `") == 5
