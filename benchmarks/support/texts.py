"""Labelled texts for the learning benchmarks: the real data sets beside the checkout, or any TSV; read, never copied.

The sets and their terms are described in `../shared/data/README.md`; the project itself needs none of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.evaluate.on_file import read_labelled
from pipeline.files import DataFileError
from pipeline.hashing import position
from pipeline.learn.deep import deep_logits
from pipeline.learn.examples import Example
from pipeline.learn.train import Trained
from pipeline.model.network import quiet_keras
from pipeline.model.token_cache import CachedTokenizer
from pipeline.serve.classifier import Classifier
from pipeline.text import Tokenizer

SHARED = Path("../shared/data")
SPLIT_SEED = 42
_CACHE = Path(".cache/benchmark-tokens.sqlite")


@dataclass(frozen=True)
class Task:
    """Texts to learn from and to be tested on. Labels are 0, 1, 2; a binary task has 0 and 2 only.

    `unlabelled` are other texts of the kind, none of them among the tested.
    """

    name: str
    train: list[Example]
    test: list[Example]
    unlabelled: list[str] = field(default_factory=list)

    @property
    def moods(self) -> list[int]:
        """The labels that there are to learn."""
        return sorted({example.label for example in self.train})


def examples(texts: list[str], labels: list[int], source: str = "base") -> list[Example]:
    """Examples of weight 1."""
    return [Example(text, label, 1.0, source) for text, label in zip(texts, labels, strict=True)]


def steam(path: Path = SHARED / "steam_ko.tsv.gz", general: Path = SHARED / "nsmc_ratings.tsv.gz") -> Task:
    """Steam reviews, binary: 22,500 to learn from and 7,500 to be tested on, stratified. Unlabelled: movie reviews."""
    frame = _distinct(_read(path).select(text="document", label=pl.col("label") * 2))
    return _split("steam", frame, _distinct(_rated(general)))


def nsmc(path: Path = SHARED / "nsmc_ratings.tsv.gz") -> Task:
    """Movie ratings 1–4 against 9–10: 120,000 and 40,000 of them, drawn at random. Three quarters are positive."""
    frame = _distinct(_rated(path)).filter(pl.col("label") != 1)
    return _split("nsmc", frame.sample(160_000, seed=SPLIT_SEED, shuffle=True), _distinct(_rated(path)))


def nsmc3(path: Path = SHARED / "nsmc_ratings.tsv.gz") -> Task:
    """Movie ratings 1–4, 5–8, 9–10, as many of each as of the rarest; three quarters to learn from."""
    frame = _distinct(_rated(path))
    rarest = int(frame["label"].value_counts()["count"].min())  # type: ignore[arg-type]
    parts = [frame.filter(pl.col("label") == label).sample(rarest, seed=SPLIT_SEED) for label in range(3)]
    return _split("nsmc3", pl.concat(parts), frame)


def nsmc_stream(path: Path = SHARED / "nsmc_ratings.tsv.gz") -> list[Example]:
    """Every movie review once, in the order of their dates, with three labels."""
    frame = _distinct(_rated(path).sort("date", "review_id"))
    return examples(frame["text"].to_list(), frame["label"].to_list())


def from_tsv(path: Path) -> list[Example]:
    """Any file that `python -m pipeline.evaluate --on` reads. Raises DataFileError."""
    found, labels = read_labelled(path)
    return examples(found, labels.tolist())


def held_out(every: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Training and validation texts, about that share of them: by the text alone, as `prepare` does it."""
    training, validation = list[Example](), list[Example]()
    for example in every:
        (validation if position(example.text, "validation") < share else training).append(example)
    return training, validation


def classifier(trained: Trained, split: Tokenizer | None = None) -> Classifier:
    """What serves a trained network; its tokenizer is by default the benchmarks' with its cache."""
    metadata = {"version": "benchmark", **trained.facts}
    return Classifier(trained.network, trained.vocabulary, metadata, split or cached(trained.vocabulary.tokenizer))


def bilstm_logits(trained: Trained, split: Tokenizer, tested: Sequence[str]) -> np.ndarray:
    """What a trained network's Bi-LSTM says alone, without the wide path: logits of shape (texts, 3)."""
    network = trained.network
    deep = quiet_keras().Model(network.input["ids"], network.get_layer("deep_logits").output)
    return deep_logits(deep, trained.vocabulary.encode(split(tested)))


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


def _split(name: str, frame: pl.DataFrame, others: pl.DataFrame) -> Task:
    """Three quarters and one quarter of `frame`; what `others` have beside it is without labels."""
    from sklearn.model_selection import train_test_split

    labels = frame["label"].to_numpy()
    parts = train_test_split(np.arange(len(frame)), test_size=0.25, stratify=labels, random_state=SPLIT_SEED)
    first, second = (frame[np.sort(part)] for part in parts)
    return Task(
        name,
        examples(first["text"].to_list(), first["label"].to_list()),
        examples(second["text"].to_list(), second["label"].to_list()),
        others.filter(~pl.col("text").is_in(frame["text"].implode()))["text"].to_list(),
    )
