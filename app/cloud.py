"""The word cloud of a selection's keywords, and the colours of the moods."""

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.serve.keywords import Keyword

NEUTRAL_LEAN = 0.15  # |lean| below this is shown as neutral
# Okabe and Ito's colour-blind-safe blue and vermilion, darkened to 4.5:1 on white; grey lies between.
COLOURS = {"부정": "#b84a00", "중립": "#6b7280", "긍정": "#0067a8"}
_FONT_PACKAGE, _FONT_FILE = "pylopdf_fonts_ko", "NotoSansKR-Regular.otf"
_NANUM = (
    Path("/usr/share/fonts/truetype/nanum/NanumGothicBold.ttf"),
    Path("/usr/share/fonts/truetype/nanum/NanumGothic.ttf"),
)
# The fonts have no glyph for emoji; a token of nothing but signs is no word.
_DRAWABLE = re.compile(r"[0-9A-Za-z가-힣ㄱ-ㅎㅏ-ㅣ._%+-]*[0-9A-Za-z가-힣ㄱ-ㅎㅏ-ㅣ]+[0-9A-Za-z가-힣ㄱ-ㅎㅏ-ㅣ._%+-]*")


class FontMissing(UserError):
    """No font with Korean letters is installed. The message says how to get one."""


def font_path(environ: Mapping[str, str] | None = None) -> Path:
    """A font file with Korean letters: FONT_PATH, else the packaged Noto Sans KR, else Debian's Nanum.

    Raises FontMissing; also when FONT_PATH names no file, instead of quietly taking another.
    """
    chosen = (os.environ if environ is None else environ).get("FONT_PATH")
    if chosen:
        if Path(chosen).is_file():
            return Path(chosen)
        raise FontMissing(f"FONT_PATH={chosen!r} is not a file: set it to a .ttf or .otf with Korean letters")
    spec = importlib.util.find_spec(_FONT_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for found in Path(folder).rglob(_FONT_FILE):
            return found
    for path in _NANUM:
        if path.is_file():
            return path
    raise FontMissing(
        "no font with Korean letters: pip install pylopdf-fonts-ko, or apt-get install fonts-nanum, "
        "or set FONT_PATH to a .ttf or .otf file"
    )


def lean_name(lean: float) -> str:
    """부정, 중립 or 긍정: which way a keyword leans."""
    if abs(lean) < NEUTRAL_LEAN:
        return "중립"
    return "긍정" if lean > 0 else "부정"


def word_cloud(
    rows: Sequence[Keyword],
    *,
    font: Path | None = None,
    width: int = 900,
    height: int = 480,
    max_words: int = 60,
) -> np.ndarray | None:
    """The cloud as an RGB picture, (height, width, 3) of uint8, on white. The same rows give the same picture.

    Size follows z (posts, where there is none), colour the lean. None when no word can be drawn.
    """
    from wordcloud import WordCloud  # brings matplotlib: seconds that only a cloud should cost

    weights = {row.word: float(row.posts if row.z is None else row.z) for row in rows if _DRAWABLE.fullmatch(row.word)}
    weights = {word: weight for word, weight in weights.items() if weight > 0}
    if not weights:
        return None
    colours = {row.word: COLOURS[lean_name(row.lean)] for row in rows}

    def colour(word: str, **_: Any) -> str:
        return colours[word]

    cloud = WordCloud(
        font_path=str(font or font_path()),
        width=width,
        height=height,
        background_color="white",
        prefer_horizontal=1,  # a Korean word on its side is hard to read
        random_state=7,
        max_words=max_words,
        max_font_size=height // 4,
        min_font_size=12,
        relative_scaling=0.5,
        margin=6,
        color_func=colour,
    )
    return np.asarray(cloud.generate_from_frequencies(weights).to_array())
