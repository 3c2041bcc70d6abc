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

from pipeline import errors
from pipeline.files import DataFileError, write_csv, write_json, write_text
from pipeline.freeze.catalog import Catalog, read_catalog
from pipeline.hashing import file_hash
from pipeline.labels import SENTIMENTS
from pipeline.layout import CANDIDATE, CHAMPION, PREPARED
from pipeline.learn.base import read_base
from pipeline.learn.deep import Deep
from pipeline.learn.examples import SETS, Example, read_set
from pipeline.learn.learned import Learned
from pipeline.learn.params import TrainParams
from pipeline.learn.tokenised import Tokenised
from pipeline.learn.warm_start import WarmStart
from pipeline.learn.wide import Wide, fit_mix
from pipeline.learn.word_vectors import word_vectors
from pipeline.model.confidence import abstain_below, calibrate, fit_temperature, softmax
from pipeline.model.features import OtherFeatures, Vocabulary, build_vocabulary
from pipeline.model.folder import METADATA_FILE, has_champion
from pipeline.model.network import MODEL_FILE, join_wide, make_deterministic, save_network
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
    warm_start: WarmStart | None = None,
    unlabelled: Callable[[], Sequence[str]] = tuple,
) -> Trained:
    """Fit vocabulary, wide path, deep path, their mix, the temperature and the threshold under which answers abstain.

    The Bi-LSTM goes on from `warm_start` where that suits. Otherwise it starts cold: its words begin with vectors of
    the training and the `unlabelled` texts, which are asked for only then.
    """
    make_deterministic(params.seed)
    texts, held_out = Tokenised.of(training, split), Tokenised.of(validation, split)
    vocabulary = _vocabulary(texts, params, split.name, warm_start)

    bags = texts.bags(vocabulary.buckets)
    wide = Wide.fit(bags, texts.labels, texts.weights, c=params.wide_c, trust=params.wide_trust)

    deep = Deep(vocabulary.size, params)
    cold = warm_start.unsuited(deep.network, training) if warm_start else "there is no model to go on from"
    warm = warm_start if not cold else None
    if warm:
        warm.copy_to(deep.network, vocabulary)
        texts_deep = texts.take(warm.chosen_rows(training, params.replay, params.seed))
    else:
        texts_deep = texts
        if params.pretrain:
            counted = [*texts.tokens, *split(unlabelled()[: params.pretrain])]
            deep.set_word_vectors(word_vectors(counted, vocabulary.tokens, params.embedding))
    held = held_out.batch(vocabulary)
    curve = deep.fit(texts_deep.batch(vocabulary), held, warm=warm is not None)

    wide_logits, deep_logits = wide.logits(held_out.bags(vocabulary.buckets)), deep.logits(held.ids)
    mix = fit_mix(wide_logits, deep_logits, held.labels)
    probabilities = softmax(mix[0] * wide_logits + mix[1] * deep_logits)
    temperature = fit_temperature(probabilities, held.labels)
    threshold = abstain_below(calibrate(probabilities, temperature), held.labels, params.abstain_precision)

    facts = {
        "temperature": temperature,
        "abstain_below": threshold,
        "mix": {"wide": mix[0], "deep": mix[1]},
        "epochs": len(curve),
        "vocabulary": vocabulary.size,
        "warm_start": warm.version if warm else None,
        "cold_start": cold or None,
        "texts_deep": len(texts_deep.examples),
    }
    return Trained(join_wide(deep.network, wide.idf, wide.weights, wide.bias, mix), vocabulary, facts, curve)


def _vocabulary(texts: Tokenised, params: TrainParams, tokenizer: str, warm_start: WarmStart | None) -> Vocabulary:
    return build_vocabulary(
        texts.tokens,
        tokenizer=tokenizer,
        max_tokens=params.max_tokens,
        buckets=params.wide_buckets,
        size=params.vocabulary,
        min_count=params.min_count,
        known=warm_start.tokens if warm_start else (),
    )


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


def champion_to_go_on_from(params: TrainParams) -> tuple[WarmStart | None, str]:
    """The champion as a warm start; or None, and why the candidate starts cold. Raises DataFileError."""
    if not params.warm_start:
        return None, "train.warm_start is off"
    if not has_champion():
        return None, "there is no champion"
    try:
        return WarmStart.load(CHAMPION), ""
    except OtherFeatures as error:
        return None, f"the champion can't be gone on from: {error.difference}"


def write_candidate(folder: Path = CANDIDATE) -> dict[str, Any]:
    """Train from `data/prepared/` and write the candidate's folder. Returns its metadata."""
    catalog, params = read_catalog(), read_params("train", TrainParams)
    tokenizer = read_params("text", TextParams).tokenizer
    sets = {name: read_set(name) for name in SETS}
    check_moods(sets["train"])
    warm_start, cold = champion_to_go_on_from(params)
    split = CachedTokenizer(tokenizer)
    trained = train(sets["train"], sets["validation"], params, split, warm_start, lambda: unlabelled(sets))
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
        "cold_start": cold or trained.facts["cold_start"],
    }
    known = warm_start.learned if warm_start and metadata["warm_start"] else Learned.none()
    known.adding([*sets["train"], *sets["validation"]]).save(folder)
    write_text(folder / "README.md", model_card(metadata, catalog, sets))
    write_json(folder / METADATA_FILE, metadata)  # last: who sees it sees a whole folder
    return metadata


def model_card(metadata: dict[str, Any], catalog: Catalog, sets: dict[str, list[Example]]) -> str:
    """The model's README: what it is, what it learned from, what it is not for."""
    kinds = sorted({example.source.split("-")[0] for example in sets["train"]})
    counts = {kind: sum(e.source.split("-")[0] == kind for e in sets["train"]) for kind in kinds}
    warm = metadata["warm_start"]
    went_on = f"gone on from model {warm}" if warm else f"from nothing ({metadata['cold_start']})"
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
    made = write_candidate()
    begun = f"goes on from {made['warm_start']}" if made["warm_start"] else f"starts cold: {made['cold_start']}"
    print(f"{CANDIDATE}: model {made['version']} {begun}")


if __name__ == "__main__":
    errors.run(main)
