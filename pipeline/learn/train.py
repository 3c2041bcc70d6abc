"""Train: the prepared sets become `models/candidate/`. A pure function: same inputs, same bytes.

`python -m pipeline.learn.train`. The version comes from `data/catalog.yaml`, never from the clock.
"""

import argparse
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import errors
from pipeline.files import DataFileError, write_csv, write_json, write_text
from pipeline.freeze.catalog import Catalog, read_catalog
from pipeline.hashing import file_hash
from pipeline.labels import SENTIMENTS
from pipeline.layout import CANDIDATE, CHAMPION, PREPARED
from pipeline.learn.base import read_base
from pipeline.learn.deep import Start, chosen_rows, deep_logits, fit_deep
from pipeline.learn.examples import SETS, Example, label_array, read_set, sample_weights
from pipeline.learn.params import TrainParams
from pipeline.learn.wide import bag_matrix, fit_mix, fit_wide, wide_logits
from pipeline.learn.word_vectors import word_vectors
from pipeline.model.confidence import abstain_below, calibrate, fit_temperature, softmax
from pipeline.model.features import Vocabulary, build_vocabulary
from pipeline.model.folder import METADATA_FILE, has_champion
from pipeline.model.network import MODEL_FILE, build_deep, join_wide, make_deterministic, save_network
from pipeline.model.token_cache import CachedTokenizer
from pipeline.params import TextParams, read_params
from pipeline.text import Tokenizer

_PACKAGES = ("tensorflow", "keras", "numpy", "kiwipiepy", "konlpy", "scikit-learn")


@dataclass(frozen=True)
class Trained:
    """What training makes: the network, its vocabulary, facts for the metadata, and the learning curve by epoch."""

    network: Any
    vocabulary: Vocabulary
    facts: dict[str, Any]
    curve: list[dict[str, float]]


def train(
    training: list[Example],
    validation: list[Example],
    params: TrainParams,
    split: Tokenizer,
    start: Start | None = None,
    unlabelled: Callable[[], Sequence[str]] = tuple,
) -> Trained:
    """Fit the network: from nothing, or from `start` (`pipeline.learn.deep`).

    From nothing, the words begin with vectors (`word_vectors`) of `training` and `unlabelled` texts; these are asked
    for only then.

    The wide path is a logistic regression on every text, the Bi-LSTM learns by gradient descent; the validation texts
    say when to stop, how much each counts, the temperature, and from which confidence on an answer counts.
    """
    make_deterministic(params.seed)
    tokens = split([example.text for example in training])
    vocabulary = build_vocabulary(
        tokens,
        tokenizer=split.name,
        max_tokens=params.max_tokens,
        buckets=params.wide_buckets,
        size=params.vocabulary,
        min_count=params.min_count,
        known=start.tokens if start else (),
    )
    labels = label_array(training)
    rows = bag_matrix([example.text for example in training], tokens, vocabulary.buckets)
    wide = fit_wide(rows, labels, sample_weights(training), params.wide_c, params.wide_trust)

    deep = build_deep(
        vocabulary.size,
        embedding=params.embedding,
        units=params.units,
        dropout=params.dropout,
        word_dropout=params.word_dropout,
    )
    read = np.arange(len(training))
    warm = bool(start and start.fits(deep) and start.news(training))
    if start and warm:
        read = chosen_rows(training, start, params.replay, params.seed)
        start.copy_to(deep, vocabulary)
    elif params.pretrain:
        more = split(unlabelled()[: params.pretrain])
        set_word_vectors(deep, word_vectors([*tokens, *more], vocabulary.tokens, params.embedding))
    some = [training[i] for i in read]
    held = None
    if validation:
        held_tokens = split([example.text for example in validation])
        held = vocabulary.encode(held_tokens), label_array(validation), sample_weights(validation)
    curve = fit_deep(
        vocabulary.encode([tokens[i] for i in read]),
        labels[read],
        sample_weights(some),
        held,
        deep,
        params,
        warm=warm,
    )
    mix, temperature, threshold = (1.0, 0.0), 1.0, 0.0
    if held:
        held_rows = bag_matrix([example.text for example in validation], held_tokens, vocabulary.buckets)
        said_wide, said_deep = wide_logits(held_rows, *wide), deep_logits(deep, held[0])
        mix = fit_mix(said_wide, said_deep, held[1])
        probabilities = softmax(mix[0] * said_wide + mix[1] * said_deep)
        temperature = fit_temperature(probabilities, held[1])
        threshold = abstain_below(calibrate(probabilities, temperature), held[1], params.abstain_precision)
    facts = {
        "temperature": temperature,
        "abstain_below": threshold,
        "mix": {"wide": mix[0], "deep": mix[1]},
        "epochs": len(curve),
        "vocabulary": vocabulary.size,
        "warm_start": start.version if start and warm else None,
        "texts_deep": len(some),
    }
    return Trained(join_wide(deep, *wide, mix), vocabulary, facts, curve)


def set_word_vectors(deep: Any, vectors: np.ndarray) -> None:
    """Begin the embedding with `vectors` (words, width); a word whose vector is zero keeps its random one."""
    layer = deep.get_layer("embedding")
    (table,) = layer.get_weights()
    known = vectors.any(axis=1)
    table[2:][known] = vectors[known]
    layer.set_weights([table])


def unlabelled(sets: dict[str, list[Example]]) -> list[str]:
    """Texts of the base file that are in no set: their words are worth reading, their labels are not asked."""
    used = {example.text for examples in sets.values() for example in examples}
    return [text for text, _ in read_base() if text not in used]


def check_moods(training: Sequence[Example]) -> None:
    """Raises DataFileError when a mood has no example: such a model could never say it."""
    present = {example.label for example in training}
    if missing := [SENTIMENTS[label] for label in range(3) if label not in present]:
        raise DataFileError(
            f"{PREPARED / 'train.csv'} has no example of {', '.join(missing)}: add some to the base file"
        )


def write_candidate(folder: Path = CANDIDATE) -> None:
    """Train from `data/prepared/` and write the candidate's folder."""
    catalog, params = read_catalog(), read_params("train", TrainParams)
    tokenizer = read_params("text", TextParams).tokenizer
    sets = {name: read_set(name) for name in SETS}
    check_moods(sets["train"])
    start = Start.load(CHAMPION) if params.warm_start and has_champion() else None
    split = CachedTokenizer(tokenizer)
    trained = train(sets["train"], sets["validation"], params, split, start, lambda: unlabelled(sets))
    folder.mkdir(parents=True, exist_ok=True)
    save_network(trained.network, folder, catalog.version)
    trained.vocabulary.save(folder)
    write_csv(folder / "history.csv", trained.curve, list(trained.curve[0]))
    metadata = {
        "version": catalog.version,
        "chunks": list(catalog.chunks),
        "archives": list(catalog.archives),
        "tokenizer": tokenizer,
        "params": asdict(params),
        "rows": {name: len(sets[name]) for name in SETS},
        "hashes": {name: file_hash(PREPARED / f"{name}.csv") for name in SETS},
        "packages": {name: package_version(name) for name in _PACKAGES},
        "machine": {
            "python": platform.python_version(),
            "system": platform.system(),
            "cpu": platform.machine(),
        },
        "model_sha256": file_hash(folder / MODEL_FILE),
        **trained.facts,
    }
    write_text(folder / "README.md", model_card(metadata, catalog, sets))
    write_json(folder / METADATA_FILE, metadata)  # last: who sees it sees a whole folder


def model_card(metadata: dict[str, Any], catalog: Catalog, sets: dict[str, list[Example]]) -> str:
    """The model's README: what it is, what it learned from, what it is not for."""
    kinds = sorted({example.source.split("-")[0] for example in sets["train"]})
    counts = {kind: sum(e.source.split("-")[0] == kind for e in sets["train"]) for kind in kinds}
    warm = metadata["warm_start"]
    went_on = f"gone on from model {warm}" if warm else "from nothing"
    lines = [
        f"# Maple Pulse model {metadata['version']}",
        "",
        "A stacked Bi-LSTM with dropout and a wide n-gram path beside it (TensorFlow/Keras). It reads a Korean text",
        "about MapleStory and says 부정 (0), 중립 (1) or 긍정 (2), with calibrated probabilities.",
        "",
        "| | |",
        "|---|---|",
        f"| chunks | {', '.join(catalog.chunks) or 'none (base model)'} |",
        f"| feedback archives | {', '.join(catalog.archives) or 'none'} |",
        *(f"| training texts from {kind} | {counts[kind]} |" for kind in kinds),
        f"| validation texts | {len(sets['validation'])} |",
        f"| tokenizer, vocabulary | {metadata['tokenizer']}, {metadata['vocabulary']} |",
        f"| Bi-LSTM | {went_on}; {metadata['texts_deep']} texts, {metadata['epochs']} epochs |",
        f"| temperature | {metadata['temperature']} |",
        f"| 불확실 | below a confidence of {metadata['abstain_below']} |",
        f"| weight of wide and deep | {metadata['mix']['wide']}, {metadata['mix']['deep']} |",
        "",
        "Chunk labels come from an LLM, corrections from people, base labels from the base file's authors.",
        "How good it is stands in `models/metrics.json` of the same commit. It judges moods of posts in the",
        "aggregate; it is not meant to judge people.",
        "",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m pipeline.learn.train`."""
    argparse.ArgumentParser(prog="python -m pipeline.learn.train", description=__doc__).parse_args(arguments)
    write_candidate()


if __name__ == "__main__":
    errors.run(main)
