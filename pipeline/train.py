"""Train: the prepared sets become `models/candidate/`. A pure function: same inputs, same bytes.

`python -m pipeline.train`. The version comes from `data/catalog.yaml`, never from the clock.
"""

import platform
from collections.abc import Sequence
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from pipeline import settings, stage
from pipeline.catalog import Catalog, read_catalog
from pipeline.classifier import METADATA_FILE, calibrate
from pipeline.features import Vocabulary, bag, build_vocabulary
from pipeline.files import DataFileError, file_hash, write_csv, write_json, write_text
from pipeline.labels import SENTIMENTS
from pipeline.model import MODEL_FILE, build_deep, join_wide, make_deterministic, quiet_keras, save_network
from pipeline.prepare import PREPARED, SETS, Example, read_set
from pipeline.text import for_model, tokenizer

CANDIDATE = Path("models/candidate")
_PACKAGES = ("tensorflow", "keras", "numpy", "kiwipiepy", "konlpy", "scikit-learn")


def sample_weights(examples: list[Example]) -> np.ndarray:
    """Each example's own weight times its class's, so that every mood weighs the same in total. Mean 1."""
    own = np.array([example.weight for example in examples])
    labels = np.array([example.label for example in examples])
    totals = np.array([max(own[labels == label].sum(), 1e-9) for label in range(3)])
    weights = own / totals[labels]
    return np.asarray(weights * (len(weights) / weights.sum()))


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least log-loss on held-out rows; 1.0 when there are too few to tell (< 30)."""
    if len(labels) < 30:
        return 1.0

    def loss(temperature: float) -> float:
        scaled = calibrate(probabilities, temperature)
        return float(-np.log(np.clip(scaled[np.arange(len(labels)), labels], 1e-12, 1)).mean())

    return float(round(minimize_scalar(loss, bounds=(0.3, 5.0), method="bounded").x, 4))


def fit_wide(
    bags: csr_matrix, labels: np.ndarray, weights: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The logistic regression on TF-IDF of the bags: idf (buckets,), weights (buckets, 3), bias (3,), float32.

    `bags` holds 1 + log(tf), shape (texts, buckets); `strength` is scikit-learn's C. idf is smoothed as there.
    """
    seen = np.bincount(bags.indices, minlength=bags.shape[1])
    idf = np.log((1 + bags.shape[0]) / (1 + seen)) + 1
    regression = LogisticRegression(C=strength, max_iter=300)
    regression.fit(normalize(bags @ diags(idf)), labels, sample_weight=weights)
    table = regression.coef_.T * (seen > 0)[:, None]  # an n-gram that training never saw says nothing
    return idf.astype(np.float32), table.astype(np.float32), regression.intercept_.astype(np.float32)


def wide_logits(bags: csr_matrix, idf: np.ndarray, table: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The wide path's logits, shape (texts, 3)."""
    return np.asarray(normalize(bags @ diags(idf.astype(np.float64))) @ table + bias)


def fit_mix(wide: np.ndarray, deep: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """How much wide and deep logits count: least log-loss on held-out rows, drawn to (1, 0) when they are few.

    The sequence model has to earn its weight: on a few hundred texts it is the one that overfits (macro-F1 on gold
    of the base model: Bi-LSTM alone 0.49, drawn to (1, 1) 0.67, to (1, 0) 0.78). The draw weighs as much as ten
    rows.
    """
    if not len(labels):
        return 1.0, 0.0

    def loss(mix: np.ndarray) -> float:
        probabilities = _softmax(mix[0] * wide + mix[1] * deep)
        surprise = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1)).sum()
        return float((surprise + 10 * ((mix - (1.0, 0.0)) ** 2).sum()) / (len(labels) + 10))

    found = minimize(loss, x0=np.array([1.0, 0.5]), bounds=[(0.0, 4.0)] * 2, method="L-BFGS-B").x
    return round(float(found[0]), 4), round(float(found[1]), 4)


def _softmax(logits: np.ndarray) -> np.ndarray:
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def train(
    training: list[Example], validation: list[Example], params: dict[str, Any], tokenizer_name: str
) -> tuple[Any, Vocabulary, dict[str, Any], list[dict[str, float]]]:
    """Fit the network. Returns it with its vocabulary, facts for the metadata, and the learning curve.

    The Bi-LSTM learns by gradient descent, the wide path as a logistic regression; the validation texts say when
    to stop, how much each counts, and the temperature. Raises DataFileError when a mood has no example: such a
    model could never say it.
    """
    present = {example.label for example in training}
    if missing := [SENTIMENTS[label] for label in range(3) if label not in present]:
        raise DataFileError(
            f"{PREPARED / 'train.csv'} has no example of {', '.join(missing)}: add some to the base file"
        )
    keras = quiet_keras()
    make_deterministic(params["seed"])
    split = tokenizer(tokenizer_name)
    tokens = split([example.text for example in training])
    vocabulary = build_vocabulary(
        tokens,
        tokenizer=tokenizer_name,
        max_tokens=params["max_tokens"],
        buckets=params["wide_buckets"],
        size=params["vocabulary"],
        min_count=params["min_count"],
    )
    labels, weights = label_array(training), sample_weights(training)
    bags = bag_matrix(training, tokens, vocabulary.buckets)
    wide = fit_wide(bags, labels, weights, params["wide_c"])

    deep = build_deep(vocabulary.size, params)
    deep.compile(
        optimizer=keras.optimizers.AdamW(params["learning_rate"]),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=params["label_smoothing"]),
        weighted_metrics=["accuracy"],
    )
    one_hot, width = np.eye(3, dtype=np.float32), params["max_tokens"]
    held_out, held_tokens = None, split([example.text for example in validation]) if validation else []
    if validation:
        held_labels = label_array(validation)
        held_out = (
            vocabulary.encode(held_tokens, width),
            one_hot[held_labels],
            sample_weights(validation).astype(np.float32),
        )
    history = deep.fit(
        vocabulary.encode(tokens, width),
        one_hot[labels],
        sample_weight=weights.astype(np.float32),
        validation_data=held_out,
        batch_size=params["batch"],
        epochs=params["epochs"],
        callbacks=[
            keras.callbacks.EarlyStopping(
                monitor="val_loss" if held_out else "loss", patience=params["patience"], restore_best_weights=True
            )
        ],
        verbose=0,
    ).history
    mix, temperature = (1.0, 0.0), 1.0
    if held_out:
        said_wide = wide_logits(bag_matrix(validation, held_tokens, vocabulary.buckets), *wide)
        said_deep = deep.predict(held_out[0], verbose=0)
        mix = fit_mix(said_wide, said_deep, held_labels)
        temperature = fit_temperature(_softmax(mix[0] * said_wide + mix[1] * said_deep), held_labels)
    curve = [
        {"epoch": i + 1, **{name: round(float(values[i]), 6) for name, values in sorted(history.items())}}
        for i in range(len(history["loss"]))
    ]
    facts = {
        "temperature": temperature,
        "mix": {"wide": mix[0], "deep": mix[1]},
        "epochs": len(curve),
        "vocabulary": vocabulary.size,
    }
    return join_wide(deep, *wide, mix), vocabulary, facts, curve


def label_array(examples: list[Example]) -> np.ndarray:
    """Labels, int64 of shape (examples,)."""
    return np.array([example.label for example in examples], dtype=np.int64)


def bag_matrix(examples: list[Example], tokenised: Sequence[Sequence[str]], buckets: int) -> csr_matrix:
    """1 + log(tf) of every hashed n-gram, shape (examples, buckets)."""
    bags = [bag(for_model(e.text), tokens, buckets) for e, tokens in zip(examples, tokenised, strict=True)]
    starts = np.cumsum([0, *(len(ids) for ids, _ in bags)])
    ids, values = (np.concatenate(parts) for parts in zip(*bags, strict=True))
    return csr_matrix((values.astype(np.float64), ids, starts), shape=(len(bags), buckets))


def write_candidate(folder: Path = CANDIDATE) -> None:
    """Train from `data/prepared/` and write the candidate's folder."""
    catalog, params, text_params = read_catalog(), settings.params("train"), settings.params("text")
    sets = {name: read_set(name) for name in SETS}
    network, vocabulary, facts, curve = train(sets["train"], sets["validation"], params, text_params["tokenizer"])
    folder.mkdir(parents=True, exist_ok=True)
    save_network(network, folder, catalog.version)
    vocabulary.save(folder)
    write_csv(folder / "history.csv", curve, list(curve[0]))
    metadata = {
        "version": catalog.version,
        "chunks": list(catalog.chunks),
        "archives": list(catalog.archives),
        "tokenizer": text_params["tokenizer"],
        "params": params,
        "rows": {name: len(sets[name]) for name in SETS},
        "hashes": {name: file_hash(PREPARED / f"{name}.csv") for name in SETS},
        "packages": {name: package_version(name) for name in _PACKAGES},
        "machine": {
            "python": platform.python_version(),
            "system": platform.system(),
            "cpu": platform.machine(),
        },
        "model_sha256": file_hash(folder / MODEL_FILE),
        **facts,
    }
    write_text(folder / "README.md", model_card(metadata, catalog, sets))
    write_json(folder / METADATA_FILE, metadata)  # last: who sees it sees a whole folder


def model_card(metadata: dict[str, Any], catalog: Catalog, sets: dict[str, list[Example]]) -> str:
    """The model's README: what it is, what it learned from, what it is not for."""
    kinds = sorted({example.source.split("-")[0] for example in sets["train"]})
    counts = {kind: sum(e.source.split("-")[0] == kind for e in sets["train"]) for kind in kinds}
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
        f"| epochs, temperature | {metadata['epochs']}, {metadata['temperature']} |",
        f"| weight of wide and deep | {metadata['mix']['wide']}, {metadata['mix']['deep']} |",
        "",
        "Chunk labels come from an LLM, corrections from people, base labels from the base file's authors.",
        "How good it is stands in `models/metrics.json` of the same commit. It judges moods of posts in the",
        "aggregate; it is not meant to judge people.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """`python -m pipeline.train`."""
    write_candidate()


if __name__ == "__main__":
    stage.run(main)
