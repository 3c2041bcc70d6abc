"""Keywords: known answers, the font, the cloud."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.serve import keywords as kw


def posts(*rows: tuple[str | None, int | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {"keywords": [row[0] for row in rows], "label": [row[1] for row in rows]},
        schema={"keywords": pl.String, "label": pl.Int64},
    )


def test_words_are_counted_once_a_post_and_lean_on_judged_posts_only():
    counts = kw.count_words(posts(("힐 힐 힐 딜", 2), ("힐", None), ("힐", 0), (None, 2), ("", 1)), {"딜"})
    assert counts.to_dicts() == [{"word": "힐", "posts": 3, "lean": 0.0}]


def test_log_odds_by_hand():
    """Monroe et al. 2008, eq. 16, 20 and 22, worked out with two words and a prior of four."""
    here, there = np.array([6, 2]), np.array([2, 6])
    # prior 2 and 2: ours 8, 4 of 12; theirs 4, 8 of 12
    expected = (np.log(8 / 4) - np.log(4 / 8)) / np.sqrt(1 / 8 + 1 / 4)
    assert kw.log_odds(here, there, prior_words=4) == pytest.approx([expected, -expected])


def test_what_everyone_says_is_no_keyword():
    ours = posts(*[("메이플 힐 비숍", 2)] * 20, *[("메이플 비숍", 0)] * 20)
    others = posts(*[("메이플 검기", 1)] * 60, *[("메이플 힐", 1)] * 2)
    rows = kw.keywords(ours, others)
    assert [row.word for row in rows][:2] == ["비숍", "힐"]
    z = {row.word: row.z for row in rows}
    assert z["힐"] > 1.96
    assert "메이플" not in z
    healing = next(row for row in rows if row.word == "힐")
    assert (healing.posts, healing.share, healing.lean) == (20, 0.5, 1.0)


def test_a_shouting_post_makes_no_keyword():
    rows = kw.keywords(posts(("광고 " * 500, 0), ("딜", 1), ("딜", 1), ("딜", 1)), posts(*[("힐", 1)] * 5))
    assert [row.word for row in rows] == ["딜"]


def test_without_a_comparison_the_usual_words_rank_by_posts():
    rows = kw.keywords(posts(*[("딜 힐", 1)] * 3, *[("딜", 1)] * 2), posts())
    assert [(row.word, row.posts, row.z) for row in rows] == [("딜", 5, None), ("힐", 3, None)]


def test_nothing_gives_nothing():
    assert kw.keywords(posts(), posts(("딜", 1))) == []
    assert kw.keywords(posts((None, None)), posts()) == []
    assert kw.keywords(posts(*[("딜", 1)] * 5), posts(*[("딜", 1)] * 5)) == []


def test_the_same_posts_in_another_order_give_the_same_keywords():
    rows = [("딜 힐", 1), ("힐 손맛", 2), ("딜 손맛", 0)] * 4
    others = posts(*[("사냥", 1)] * 9)
    assert len(kw.keywords(posts(*rows), others)) == 3
    assert kw.keywords(posts(*rows), others) == kw.keywords(posts(*reversed(rows)), others)


def test_the_stopword_list_is_clean():
    lines = Path("data/korean_stopwords.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(set(lines)) >= 150
    assert all(line == line.strip() and line for line in lines)
    words = kw.load_stopwords()
    assert "그냥" in words
    assert not words & {"딜", "힐", "템", "보스", "너프", "상향"}


def test_a_running_page_sees_a_changed_stopword_list(tmp_path, caplog):
    path = tmp_path / "stop.txt"
    path.write_text("그냥\n", encoding="utf-8")
    words = kw.Stopwords(path)
    assert words() == {"그냥"}
    path.write_text("그냥\n진짜\n", encoding="utf-8")
    assert words() == {"그냥", "진짜"}
    path.write_bytes("그냥\n".encode("cp949"))
    assert words() == {"그냥", "진짜"}
    assert "the stop words stay as they were" in caplog.text
    path.write_text("보스\n", encoding="utf-8")
    assert words() == {"보스"}
    path.unlink()
    assert words() == {"보스"}


def test_importing_keywords_costs_no_matplotlib():
    code = "import sys, pipeline.serve.keywords; sys.exit('matplotlib' in sys.modules or 'gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
