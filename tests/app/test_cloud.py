"""The word cloud: its font, its colours, the same picture for the same words."""

from pathlib import Path

import numpy as np
import pytest

from app import cloud
from pipeline.serve.keywords import Keyword


def test_no_words_give_no_cloud():
    assert cloud.word_cloud([]) is None


def test_font_order_and_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mine = tmp_path / "mine.ttf"
    mine.write_bytes(b"x")
    assert cloud.font_path({"FONT_PATH": str(mine)}) == mine
    with pytest.raises(cloud.FontMissing, match="not a file"):
        cloud.font_path({"FONT_PATH": str(tmp_path / "none.ttf")})
    assert cloud.font_path({}).name == "NotoSansKR-Regular.otf"
    monkeypatch.setattr(cloud, "_FONT_PACKAGE", "no_such_package")
    monkeypatch.setattr(cloud, "_NANUM", (mine,))
    assert cloud.font_path({}) == mine
    monkeypatch.setattr(cloud, "_NANUM", ())
    with pytest.raises(cloud.FontMissing, match="fonts-nanum"):
        cloud.font_path({})


def test_the_font_has_every_syllable_players_invent():
    from fontTools.ttLib import TTFont

    with TTFont(cloud.font_path({})) as font:
        glyphs = font.getBestCmap()
    assert all(ord(letter) in glyphs for letter in "가뷁ㅋㅠ밮힣")


def test_the_cloud_repeats_itself_and_wears_its_colours():
    rows = [
        Keyword("힐", 9, 0.3, 5.0, 0.9),
        Keyword("너프", 7, 0.2, 4.0, -0.9),
        Keyword("사냥", 7, 0.2, 3.0, 0.0),
        Keyword("😀", 7, 0.2, 9.0, 0.0),
    ]
    first, second = cloud.word_cloud(rows, width=400, height=200), cloud.word_cloud(rows, width=400, height=200)
    assert first is not None
    assert second is not None
    assert first.shape == (200, 400, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    seen = {tuple(pixel) for pixel in first.reshape(-1, 3)}
    for colour in cloud.COLOURS.values():
        assert tuple(bytes.fromhex(colour[1:])) in seen
    assert cloud.word_cloud([rows[3]]) is None
