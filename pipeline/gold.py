"""Gold: posts that people vouch for, `data/gold/*.csv`. They judge models and labelers and are never trained on."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.files import DataFileError, read_rows
from pipeline.labels import parse_label
from pipeline.layout import GOLD, GOLD_COLUMNS
from pipeline.text import join_post


@dataclass(frozen=True, slots=True)
class GoldPost:
    """A post with the label that a person gave it (0 부정, 1 중립, 2 긍정); `job_group` is empty where not known."""

    title: str
    body: str
    label: int
    job_group: str = ""

    @property
    def text(self) -> str:
        """The post as models read it."""
        return join_post(self.title, self.body)


def read_gold(root: Path = Path()) -> list[GoldPost]:
    """Every gold post, file by file in the order of their names; empty where there is none. Raises DataFileError."""
    gold = []
    for path in sorted((root / GOLD).glob("*.csv")):
        for line, row in read_rows(path, GOLD_COLUMNS):
            try:
                gold.append(GoldPost(row["title"], row["body"], parse_label(row["label"]), row.get("job_group", "")))
            except ValueError as error:
                raise DataFileError(f"{path}, line {line}: {error}") from None
    return gold
