"""Quality: does our network beat what a user would pick instead, on real Korean text that people have rated?

    make bench BENCH=quality
    make bench BENCH="quality --train A.tsv --test B.tsv"    # columns text and label (0, 1, 2)

Beside ours, on the same split: TF-IDF of character n-grams + logistic regression, and the replaced system's network.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.support import texts
from benchmarks.support.harness import Row, earlier, report
from benchmarks.support.replaced_network import replaced_network
from pipeline import errors
from pipeline.evaluate.figures import macro_f1
from pipeline.evaluate.on_file import among
from pipeline.files import DataFileError
from pipeline.learn.examples import Example, label_array
from pipeline.learn.params import TrainParams
from pipeline.learn.train import Trained, train
from pipeline.learn.warm_start import WarmStart
from pipeline.model.confidence import softmax
from pipeline.params import TextParams, read_params

VALIDATION = 0.05  # of the training texts, for stopping, mixing and calibration; the baselines learn from them
TASKS: dict[str, Callable[[], texts.Task]] = {"steam": texts.steam, "nsmc": texts.nsmc, "nsmc3": texts.nsmc3}
MEASURES = {"steam": "steam_accuracy", "nsmc": "nsmc_accuracy", "nsmc3": "nsmc3_macro_f1"}


@dataclass(frozen=True)
class Figures:
    """Accuracy and macro-F1 of one model on one test set, and the seconds its training took."""

    accuracy: float
    macro_f1: float
    seconds: float


def figures(task: texts.Task, probabilities: np.ndarray, seconds: float, balanced: bool = False) -> Figures:
    """Figures of probabilities, shape (texts, 3), as a choice among the moods that the task has.

    `balanced`: they are of a model that learned as if moods were equally frequent, which macro-F1 asks for. For
    accuracy, which asks for the most frequent, they are weighed with the moods' shares in training (Saerens et al.
    2002, "Adjusting the Outputs of a Classifier to New a Priori Probabilities"); the baselines have these learned.
    """
    labels = label_array(task.test)
    found = among(probabilities, task.moods)
    shares = np.bincount(label_array(task.train), minlength=3) / len(task.train) if balanced else np.ones(3)
    accuracy = float(((found * shares).argmax(axis=1) == labels).mean())
    return Figures(accuracy, macro_f1(labels, found.argmax(axis=1), task.moods), seconds)


def regression(task: texts.Task) -> Figures:
    """The baseline: TF-IDF of characters 1 to 4 within words, logistic regression with C = 2 (models.md)."""
    began = time.perf_counter()
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4))
    rows = vectorizer.fit_transform([example.text for example in task.train])
    model = LogisticRegression(C=2, max_iter=1000).fit(rows, label_array(task.train))
    found = model.predict_proba(vectorizer.transform([example.text for example in task.test]))
    probabilities = np.zeros((len(task.test), 3))
    probabilities[:, model.classes_] = found
    return figures(task, probabilities, time.perf_counter() - began)


def ours(task: texts.Task, params: TrainParams, start: WarmStart | None = None) -> tuple[Figures, Trained]:
    """Our network on the task's split, trained by the pipeline's own function."""
    began = time.perf_counter()
    training, validation = texts.held_out(task.train, VALIDATION)
    split = texts.cached(read_params("text", TextParams).tokenizer)
    trained = train(training, validation, params, split, start, lambda: task.unlabelled)
    seconds = time.perf_counter() - began
    answers = texts.classifier(trained).probabilities([example.text for example in task.test])
    return figures(task, answers, seconds, balanced=True), trained


def replaced(task: texts.Task, seed: int, epochs: int) -> Figures:
    """The replaced system's network on the task's split."""
    began = time.perf_counter()
    logits = replaced_network(
        ([example.text for example in task.train], label_array(task.train)),
        [example.text for example in task.test],
        texts.cached("okt"),
        Path("data/korean_stopwords.txt"),
        seed,
        epochs,
    )
    return figures(task, softmax(logits), time.perf_counter() - began)


class Comparison:
    """All models on all tasks, each trained once; a line for each as it is done."""

    def __init__(self, seeds: Sequence[int], replaced_seeds: int, replaced_epochs: int) -> None:
        self.seeds, self.replaced_seeds, self.replaced_epochs = seeds, replaced_seeds, replaced_epochs
        self._cold: dict[tuple[str, int], tuple[Figures, Trained]] = {}

    def cold(self, task: texts.Task, seed: int) -> tuple[Figures, Trained]:
        """Our network from nothing."""
        key = (task.name, seed)
        if key not in self._cold:
            self._cold[key] = ours(task, replace(read_params("train", TrainParams), seed=seed))
            say(task.name, f"ours, seed {seed}", self._cold[key][0])
        return self._cold[key]

    def warm(self, task: texts.Task, general: texts.Task, seed: int) -> Figures:
        """Our network after the general text: what a deployment with a base file has."""
        trained = self.cold(general, seed)[1]
        start = WarmStart.of(trained.network, trained.vocabulary, general.name)
        found, _ = ours(as_news(task), replace(read_params("train", TrainParams), seed=seed), start)
        say(task.name, f"ours after {general.name}, seed {seed}", found)
        return found

    def rows(self, name: str) -> list[Row]:
        """The rows of one task."""
        task, measure = TASKS[name](), MEASURES[name]
        of = "accuracy" if measure.endswith("accuracy") else "macro_f1"
        base = regression(task)
        say(name, "TF-IDF + logistic regression", base)

        def row(suffix: str, found: Sequence[Figures]) -> Row:
            values = [getattr(one, of) for one in found]
            unit = f"{of}, mean of {len(values)} seeds, {min(values):.4f} to {max(values):.4f}"
            return Row(
                measure + suffix, round(float(np.mean(values)), 4), unit, round(getattr(base, of), 4), "TF-IDF + LR"
            )

        cold = [self.cold(task, seed)[0] for seed in self.seeds]
        rows = [row("", cold)]
        if name == "steam":
            general = texts.nsmc3()
            rows = [row("", [self.warm(task, general, seed) for seed in self.seeds]), row("_from_nothing", cold)]
        if self.replaced_seeds:
            old = [replaced(task, seed, self.replaced_epochs) for seed in self.seeds[: self.replaced_seeds]]
            say(name, "replaced network", old[0])
            rows.append(row("_replaced_network", old))
        return rows


def as_news(task: texts.Task) -> texts.Task:
    """The task's training texts as those of a chunk: what a warm start has not seen."""
    news = [Example(example.text, example.label, 1.0, "chunk-0001") for example in task.train]
    return texts.Task(task.name, news, task.test, task.unlabelled)


def say(task: str, what: str, found: Figures) -> None:
    """One line of progress."""
    print(
        f"{task}: {what}: accuracy {found.accuracy:.4f}, macro-F1 {found.macro_f1:.4f}, {found.seconds:.0f} s",
        flush=True,
    )


def main() -> None:
    """Compare on the real sets, or on two files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, help="TSV with columns text and label (0, 1, 2)")
    parser.add_argument("--test", type=Path, help="the same, to be tested on")
    parser.add_argument("--tasks", nargs="*", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--replaced", type=int, default=1, help="seeds of the replaced network (it is slow); 0 = none")
    parser.add_argument("--replaced-epochs", type=int, default=50, help="its most epochs; its own were 50")
    given = parser.parse_args()
    if (given.train is None) != (given.test is None):
        parser.error("--train and --test go together")
    try:
        if given.train:
            task = texts.Task("files", texts.from_tsv(given.train), texts.from_tsv(given.test))
            say("files", "TF-IDF + logistic regression", regression(task))
            say("files", "ours", ours(task, read_params("train", TrainParams))[0])
            return
        comparison = Comparison(range(1, given.seeds + 1), given.replaced, given.replaced_epochs)
        done = {name: comparison.rows(name) for name in given.tasks}
    except DataFileError as error:
        sys.exit(str(error))
    known = earlier("quality")  # a task takes half an hour: those that were not asked for keep their rows
    kept = {name: [row for row in known if row.measure.startswith(MEASURES[name])] for name in TASKS}
    rows = [row for name in TASKS for row in {**kept, **done}[name]]
    about = {"seeds": given.seeds, "replaced_seeds": given.replaced, "replaced_epochs": given.replaced_epochs}
    report("quality", rows, tasks=given.tasks, validation=VALIDATION, **about)


if __name__ == "__main__":
    errors.run(main)
