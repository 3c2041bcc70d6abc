"""Tokenizers: what `text.tokenizer` in params.yaml is chosen by. Okt, Kiwi and plain characters, on Steam reviews.

Each trains the same network on the same split, from nothing and without other texts; speed is that of the tokenizer
alone, on texts that it has not seen, in turns.

    make bench BENCH=tokenizers
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.support import texts
from benchmarks.support.harness import Row, earlier, report
from pipeline import errors
from pipeline.evaluate.on_file import among
from pipeline.learn.examples import label_array
from pipeline.learn.params import TrainParams
from pipeline.learn.train import train
from pipeline.params import read_params
from pipeline.text import TOKENIZERS, Tokenizer, for_model, tokenizer

VALIDATION = 0.05
LONGEST = 256  # characters of a text for the network of characters: more than the 96 morphemes hold
BASELINE = "kiwi"


class Characters:
    """Each character but white space is a token."""

    name = "characters"

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        return self.split([for_model(text) for text in texts])

    def split(self, cleaned: Sequence[str]) -> list[list[str]]:
        """Of texts as `for_model` gives them."""
        return [[sign for sign in text if not sign.isspace()] for text in cleaned]


def accuracies(name: str, task: texts.Task, params: TrainParams) -> tuple[float, float]:
    """Accuracy of the whole network and of its Bi-LSTM alone."""
    split: Tokenizer = Characters() if name == Characters.name else texts.cached(name)
    training, validation = texts.held_out(task.train, VALIDATION)
    trained = train(training, validation, params, split)
    tested = [example.text for example in task.test]
    whole = texts.classifier(trained, split).probabilities(tested)
    found = []
    for answers in (whole, np.exp(texts.bilstm_logits(trained, split, tested))):
        found.append(float((among(answers, task.moods).argmax(axis=1) == label_array(task.test)).mean()))
    print(f"{name}, seed {params.seed}: {found[0]:.4f}, Bi-LSTM alone {found[1]:.4f}", flush=True)
    return found[0], found[1]


def speeds(names: Sequence[str], some: Sequence[str], rounds: int) -> dict[str, tuple[float, float]]:
    """Texts a second and CPU milliseconds a text of each tokenizer, medians of rounds in which they take turns."""
    splits = {name: Characters() if name == Characters.name else tokenizer(name) for name in names}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for split in splits.values():
        split(some[:50])  # loaded, and a JVM has compiled what it needs
    part = len(some) // rounds
    for number in range(rounds):
        fresh = some[number * part : (number + 1) * part]
        for name, split in splits.items():
            wall, cpu = time.perf_counter(), time.process_time()
            split(fresh)
            taken[name].append((len(fresh) / (time.perf_counter() - wall), (time.process_time() - cpu) / len(fresh)))
    return {
        name: (statistics.median(a for a, _ in rows), 1000 * statistics.median(b for _, b in rows))
        for name, rows in taken.items()
    }


def accuracy_rows(names: Sequence[str], task: texts.Task, seeds: int) -> list[Row]:
    """Accuracy of each tokenizer's network, and of its Bi-LSTM alone; of an earlier run without seeds."""
    if not seeds:
        return [row for row in earlier("tokenizers") if "accuracy" in row.measure]
    scores: dict[str, list[tuple[float, float]]] = {}
    for name in names:
        params = read_params("train", TrainParams)
        if name == Characters.name:
            params = replace(params, max_tokens=LONGEST)
        scores[name] = [accuracies(name, task, replace(params, seed=seed)) for seed in range(1, seeds + 1)]
    rows: list[Row] = []
    for place, what in enumerate(("accuracy", "accuracy_bilstm_alone")):
        for name in names:
            values = [row[place] for row in scores[name]]
            unit = f"mean of {len(values)} seeds, {min(values):.4f} to {max(values):.4f}"
            usual = round(float(np.mean([row[place] for row in scores[BASELINE]])), 4)
            beside = () if name == BASELINE else (usual, BASELINE)
            rows.append(Row(f"{name}_{what}", round(float(np.mean(values)), 4), unit, *beside))
    return rows


def main() -> None:
    """Train, time, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokenizers", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each; 0 keeps the accuracies of before")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    names = [BASELINE, *(name for name in TOKENIZERS if name != BASELINE), Characters.name]
    task = texts.steam()
    pace = speeds(names, [example.text for example in task.test], given.rounds)
    rows = accuracy_rows(names, task, given.seeds)
    for place, (what, unit) in enumerate((("posts_per_second", "posts/s"), ("cpu_ms", "CPU ms a post"))):
        for name in names:
            beside = () if name == BASELINE else (round(pace[BASELINE][place], 4), BASELINE)
            rows.append(Row(f"{name}_{what}", round(pace[name][place], 4), unit, *beside))
    report("tokenizers", rows, seeds=given.seeds, rounds=given.rounds)


if __name__ == "__main__":
    errors.run(main)
