"""From rows to frames and HTML: shares, order, small samples, hostile names."""

import base64
import io

import numpy as np
import polars as pl
from PIL import Image

from app import charts, render
from app.records import Progress
from pipeline.serve.keywords import Keyword


def row(**given):
    base = {
        "board_id": 2295,
        "post_id": 1,
        "job_group": "마법사",
        "job": "비숍",
        "title": "제목",
        "url": "https://www.inven.co.kr/board/maple/2295/1",
        "posted_at": "2026-11-22T14:03:00+09:00",
        "keywords": None,
        "label": 2,
        "source": "llm",
    }
    return {**base, **given}


def test_shares_are_of_judged_posts_and_small_samples_stand_last():
    rows = [row(label=label) for label in (0, 0, 1, 2, 2, None)]
    rows += [row(job="라라", label=2)] * 4 + [row(job="레테", label=None)]
    table = charts.shares(charts.posts_frame(rows), "job").to_dicts()
    assert [entry["name"] for entry in table] == ["비숍", "라라", "레테"]
    assert [entry["few"] for entry in table] == [False, True, True]
    first = table[0]
    assert (first["posts"], first["judged"]) == (6, 5)
    assert (first["negative"], first["neutral"], first["positive"]) == (0.4, 0.2, 0.4)
    assert table[2]["positive"] is None


def test_groups_stand_in_the_domains_order_and_strangers_do_not_break_it():
    rows = [row(job_group=name) for name in ("해적", None, "전사", "상인")]
    names = list(charts.shares(charts.posts_frame(rows), "job_group")["name"])
    assert [name for name in names if name != "상인"] == ["전사", "해적", "자유 게시판"]
    assert "상인" in names


def test_nothing_at_all_is_a_frame_too():
    frame = charts.posts_frame([])
    assert charts.figures(frame) == charts.Figures(0, None, None, (0, 0, 0), (0, 0, 0))
    assert charts.shares(frame, "job").is_empty()
    assert charts.newest(frame).is_empty()
    assert "보여 줄 글이 없습니다" in render.bars(charts.shares(frame, "job"), "직업별", "전체")


def test_newest_shows_titles_as_they_are_and_links_only_plain_addresses():
    site = "https://www.inven.co.kr"
    hostile = (
        "javascript:alert(1)",
        f"{site}/](javascript:alert(1))",
        f"{site}/a b",
        f"{site}/<b>",
        "https://x.example/a",
    )
    rows = [row(title="**굵게** <b>", post_id=9)]
    rows += [row(url=url, posted_at="2026-11-21T00:00:00+09:00") for url in hostile]
    table = charts.newest(charts.posts_frame(rows)).to_dicts()
    assert table[0] == {
        "제목": "**굵게** <b>",
        "분위기": "▲ 긍정",
        "직업": "비숍",
        "판단": "LLM",
        "작성": "11-22 14:03",
        "원문": "[보기](https://www.inven.co.kr/board/maple/2295/1)",
    }
    assert [entry["원문"] for entry in table[1:]] == [""] * len(hostile)


def test_keyword_table_names_the_mood_beside_its_number():
    rows = [Keyword("힐", 1200, 0.5, 3.21, 0.4), Keyword("딜", 3, 0.01, None, -0.05)]
    assert charts.keyword_table(rows).rows() == [
        ("힐", "1,200", "50%", "3.2", "▲ 긍정 +0.40"),
        ("딜", "3", "1%", "–", "■ 중립 -0.05"),
    ]


def test_bars_escape_names_and_speak_the_shares():
    rows = [row(job='<img src=x onerror="1">', label=label) for label in (0, 0, 1, 2, 2)]
    html = render.bars(charts.shares(charts.posts_frame(rows), "job"), "<b>제목", "전체")
    assert "<img" not in html
    assert "<b>" not in html
    assert 'aria-label="긍정 40%, 중립 20%, 부정 40%"' in html
    assert "표본 적음" not in html
    few = render.bars(charts.shares(charts.posts_frame(rows[:4]), "job"), "직업별", "전체")
    assert "표본 적음" in few


def test_the_chosen_row_is_marked():
    table = charts.shares(charts.posts_frame([row(), row(job="라라")]), "job")
    assert render.bars(table, "직업별", "라라").count("mp-chosen") == 1


def test_progress_says_how_far_the_next_training_is():
    html = render.progress(Progress(412, 1000, 120, 100))
    assert "글 412/1,000" in html
    assert "의견 120/100" in html
    assert 'value="100"' in html


def test_cloud_is_a_png_inside_the_page():
    picture = np.full((40, 60, 3), 255, np.uint8)
    html = render.cloud(picture)
    data = base64.b64decode(html.split("base64,")[1].split('"')[0])
    assert Image.open(io.BytesIO(data)).size == (60, 40)
    assert "alt=" in html
    assert "<img" not in render.cloud(None)


def test_posts_frame_keeps_the_types_of_an_all_empty_column():
    frame = charts.posts_frame([row(label=None, source=None, keywords=None)])
    assert frame.schema["label"] == pl.Int64
    assert frame.schema["keywords"] == pl.String
