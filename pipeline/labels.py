"""The three labels, in one place: 0 부정, 1 중립, 2 긍정."""

from typing import Literal, TypeAlias

Label: TypeAlias = Literal[0, 1, 2]

SENTIMENTS: tuple[str, str, str] = ("부정", "중립", "긍정")
NEGATIVE, NEUTRAL, POSITIVE = 0, 1, 2


def parse_label(text: str) -> int:
    """The label of `0`, `1`, `2`, `부정`, `중립` or `긍정`. Raises ValueError for anything else."""
    cleaned = text.strip()
    if cleaned in SENTIMENTS:
        return SENTIMENTS.index(cleaned)
    if cleaned in {"0", "1", "2"}:
        return int(cleaned)
    raise ValueError(f"{text!r} is not a label: use 0 부정, 1 중립, 2 긍정")
