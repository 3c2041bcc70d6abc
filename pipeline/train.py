"""Train: the prepared sets become `models/candidate/`. A pure function: same inputs, same bytes.

`python -m pipeline.train`. The version comes from `data/catalog.yaml`, never from the clock.
"""

import platform
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from pipeline import settings, stage
from pipeline.catalog import Catalog, read_catalog
from pipeline.classifier import METADATA_FILE, calibrate
from pipeline.features import Vocabulary, build_vocabulary
from pipeline.files import DataFileError, file_hash, write_csv, write_json, write_text
from pipeline.labels import SENTIMENTS
from pipeline.model import build_network, make_deterministic, quiet_keras, save_network
from pipeline.prepare import PREPARED, SETS, Example, read_set
from pipeline.text import tokenizer

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


def train(
    training: list[Example], validation: list[Example], params: dict[str, Any], tokenizer_name: str
) -> tuple[Any, Vocabulary, dict[str, Any], list[dict[str, float]]]:
    """Fit the network. Returns it with its vocabulary, facts for the metadata, and the learning curve.

    Raises DataFileError when a mood has no example: such a model could never say it.
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
        size=params["vocabulary"],
        min_count=params["min_count"],
    )
    network = build_network(vocabulary.size, params)
    network.compile(
        optimizer=keras.optimizers.AdamW(params["learning_rate"]),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=params["label_smoothing"]),
        weighted_metrics=["accuracy"],
    )

    def arrays(examples: list[Example], ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labels = np.array([example.label for example in examples], dtype=np.int64)
        return ids, np.eye(3, dtype=np.float32)[labels], sample_weights(examples).astype(np.float32)

    width = params["max_tokens"]
    x, y, weight = arrays(training, vocabulary.encode(tokens, width))
    held_out = None
    if validation:
        ids = vocabulary.encode(split([example.text for example in validation]), width)
        held_out = arrays(validation, ids)
    history = network.fit(
        x,
        y,
        sample_weight=weight,
        validation_data=held_out,
        batch_size=params["batch"],
        epochs=params["epochs"],
        callbacks=[
            keras.callbacks.EarlyStopping(
                monitor="val_loss" if held_out else "loss",
                patience=params["patience"],
                restore_best_weights=True,
            )
        ],
        verbose=0,
    ).history
    temperature = 1.0
    if held_out:
        temperature = fit_temperature(network.predict(held_out[0], verbose=0), held_out[1].argmax(axis=1))
    curve = [
        {"epoch": i + 1, **{name: round(float(values[i]), 6) for name, values in sorted(history.items())}}
        for i in range(len(history["loss"]))
    ]
    facts = {"temperature": temperature, "epochs": len(curve), "vocabulary": vocabulary.size}
    return network, vocabulary, facts, curve


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
        "A stacked Bi-LSTM with dropout (TensorFlow/Keras) that reads a Korean text about MapleStory and says",
        "부정 (0), 중립 (1) or 긍정 (2), with calibrated probabilities.",
        "",
        "| | |",
        "|---|---|",
        f"| chunks | {', '.join(catalog.chunks) or 'none (base model)'} |",
        f"| feedback archives | {', '.join(catalog.archives) or 'none'} |",
        *(f"| training texts from {kind} | {counts[kind]} |" for kind in kinds),
        f"| validation texts | {len(sets['validation'])} |",
        f"| tokenizer, vocabulary | {metadata['tokenizer']}, {metadata['vocabulary']} |",
        f"| epochs, temperature | {metadata['epochs']}, {metadata['temperature']} |",
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
