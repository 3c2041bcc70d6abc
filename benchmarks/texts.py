"""Labelled texts for the learning benchmarks: the real data sets beside the checkout, or any TSV; read, never copied.

The sets and their terms are described in `../shared/data/README.md`; the project itself needs none of them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.files import DataFileError
from pipeline.prepare import Example
from pipeline.text import Tokenizer
from pipeline.token_cache import CachedTokenizer

SHARED = Path("../shared/data")
SPLIT_SEED = 42
_CACHE = Path(".cache/benchmark-tokens.sqlite")


@dataclass(frozen=True)
class Task:
    """Texts to learn from and to be tested on. Labels are 0, 1, 2; a binary task has 0 and 2 only."""

    name: str
    train: list[Example]
    test: list[Example]

    @property
    def binary(self) -> bool:
        """Whether there is no 중립."""
        return not any(example.label == 1 for example in self.train)


def examples(texts: list[str], labels: list[int], source: str = "base") -> list[Example]:
    """Examples of weight 1."""
    return [Example(text, label, 1.0, source) for text, label in zip(texts, labels, strict=True)]


def steam(path: Path = SHARED / "steam_ko.tsv.gz") -> Task:
    """Steam reviews, binary: 22,500 to learn from and 7,500 to be tested on, stratified."""
    frame = _read(path).select(text="document", label=pl.col("label") * 2)
    return _split("steam", _distinct(frame))


def nsmc(path: Path = SHARED / "nsmc_ratings.tsv.gz") -> Task:
    """Movie ratings 1–4 against 9–10: 120,000 and 40,000 of them, drawn at random. Three quarters are positive."""
    frame = _distinct(_rated(path)).filter(pl.col("label") != 1)
    return _split("nsmc", frame.sample(160_000, seed=SPLIT_SEED, shuffle=True))


def nsmc3(path: Path = SHARED / "nsmc_ratings.tsv.gz") -> Task:
    """Movie ratings 1–4, 5–8, 9–10, as many of each as of the rarest; three quarters to learn from."""
    frame = _distinct(_rated(path))
    rarest = int(frame["label"].value_counts()["count"].min())  # type: ignore[arg-type]
    parts = [frame.filter(pl.col("label") == label).sample(rarest, seed=SPLIT_SEED) for label in range(3)]
    return _split("nsmc3", pl.concat(parts))


def nsmc_stream(path: Path = SHARED / "nsmc_ratings.tsv.gz") -> list[Example]:
    """Every movie review once, in the order of their dates, with three labels."""
    frame = _distinct(_rated(path).sort("date", "review_id"))
    return examples(frame["text"].to_list(), frame["label"].to_list())


def from_tsv(path: Path) -> list[Example]:
    """Any TSV with columns `text` and `label` (0, 1, 2), gzipped or not, without quoting. Raises DataFileError."""
    frame = _read(path)
    if missing := {"text", "label"} - set(frame.columns):
        raise DataFileError(
            f"{path} has no column {', '.join(sorted(missing))}: its first line must name text and label"
        )
    labels = frame["label"].cast(pl.Int64, strict=False)
    bad = (labels.is_null() | ~labels.is_in([0, 1, 2])).arg_true()
    if len(bad):
        raise DataFileError(f"{path}, line {bad[0] + 2}: label must be 0, 1 or 2, not {frame['label'][bad[0]]!r}")
    return examples(frame["text"].fill_null("").cast(pl.String).to_list(), labels.to_list())


def cached(name: str) -> Tokenizer:
    """The tokenizer of that name with a cache of the benchmarks' own: what is timed is never the tokenizer."""
    return CachedTokenizer(name, _CACHE, limit=1_000_000)


def _read(path: Path) -> pl.DataFrame:
    if not path.exists():
        raise DataFileError(f"{path} is not there: give two files of your own with --train and --test")
    return pl.read_csv(path, separator="\t", quote_char=None, infer_schema_length=10_000)


def _rated(path: Path) -> pl.DataFrame:
    rating = pl.col("rating")
    label = pl.when(rating <= 4).then(0).when(rating <= 8).then(1).otherwise(2)
    return _read(path).select("date", "review_id", text="review", label=label)


def _distinct(frame: pl.DataFrame) -> pl.DataFrame:
    """Without empty texts, each text once: a text in both parts would be a test of memory."""
    return frame.filter(pl.col("text").fill_null("") != "").unique(subset="text", keep="first", maintain_order=True)


def _split(name: str, frame: pl.DataFrame) -> Task:
    from sklearn.model_selection import train_test_split

    labels = frame["label"].to_numpy()
    parts = train_test_split(np.arange(len(frame)), test_size=0.25, stratify=labels, random_state=SPLIT_SEED)
    first, second = (frame[np.sort(part)] for part in parts)
    return Task(
        name,
        examples(first["text"].to_list(), first["label"].to_list()),
        examples(second["text"].to_list(), second["label"].to_list()),
    )
