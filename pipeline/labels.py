"""The three labels, in one place: 0 부정, 1 중립, 2 긍정."""

import re
import unicodedata
from typing import Literal, TypeAlias

Label: TypeAlias = Literal[0, 1, 2]

SENTIMENTS: tuple[str, str, str] = ("부정", "중립", "긍정")
NEGATIVE, NEUTRAL, POSITIVE = 0, 1, 2


_NUMBER = re.compile(r"([012])(\.0+)?")  # 2.0: what pandas writes of a column that once had gaps


def parse_label(text: str) -> int:
    """The label of `0`, `1`, `2`, `2.0`, `부정`, `중립` or `긍정`, blanks around or not. Raises ValueError."""
    cleaned = unicodedata.normalize("NFC", text).strip()
    if cleaned in SENTIMENTS:
        return SENTIMENTS.index(cleaned)
    if match := _NUMBER.fullmatch(cleaned):
        return int(match[1])
    raise ValueError(f"{text!r} is not a label: use 0 부정, 1 중립, 2 긍정")
