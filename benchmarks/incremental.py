"""Incremental: month after month on a dated stream, is our release as good as training on everything each time?

Movie reviews in the order of their dates, thinned to `--chunks` chunks of 1,000 over twelve years, labelled by their
ratings (three moods). The first of them are the general text, of which a part is a fixed test set. After each chunk
three policies release a model, and each is tested on the chunk that comes next (prequential) and on the fixed set:

- ours: prepare's mix (window, general text 1:1) and a warm start, as params.yaml says;
- newest: from nothing on the newest chunk alone, the replaced system's way;
- bound: from nothing on all chunks so far and all general text (every `--bound-every` chunks: it is slow).

    make bench BENCH=incremental
    make bench BENCH="incremental --vary"    # what the warm start's params are worth, on the first chunks
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support import texts
from benchmarks.support.harness import RESULTS, Row, report
from pipeline import errors
from pipeline.evaluate.figures import macro_f1
from pipeline.files import write_csv
from pipeline.learn.examples import Example, label_array
from pipeline.learn.params import TrainParams
from pipeline.learn.train import Trained, train
from pipeline.learn.warm_start import WarmStart
from pipeline.params import CatalogParams, TextParams, read_params

CHUNK = 1000
GENERAL, FIXED = 4000, 3000  # texts of the general set to learn from, and to be tested on
VALIDATION = 0.1
VARIANTS: dict[str, dict[str, Any]] = {
    "as_params_say": {},
    "from_nothing": {"warm_start": False},
    "replay_0": {"replay": 0.0},
    "replay_4": {"replay": 4.0},
    "epochs_1": {"warm_epochs": 1},
}


@dataclass
class Policy:
    """A way to release: what it scored after each chunk, and the CPU seconds its trainings took."""

    name: str
    after: list[int] = field(default_factory=list)
    next_chunk: list[float] = field(default_factory=list)
    fixed: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def at(self, values: Sequence[float], chunks: Sequence[int]) -> float:
        """The mean of `values` over the releases after those chunks."""
        return float(np.mean([value for chunk, value in zip(self.after, values, strict=True) if chunk in chunks]))


def stream(chunks: int, path: Path) -> tuple[list[Example], list[Example], list[list[Example]]]:
    """General text to learn from, the fixed test set, and the chunks in the order of their dates."""
    every = texts.nsmc_stream(path)
    first, later = every[: GENERAL + FIXED], every[GENERAL + FIXED :]
    drawn = np.random.default_rng(texts.SPLIT_SEED).permutation(len(first))
    general, fixed = ([first[i] for i in np.sort(part)] for part in (drawn[FIXED:], drawn[:FIXED]))
    kept = [later[i] for i in np.linspace(0, len(later) - 1, chunks * CHUNK).astype(int)]
    posts = [Example(example.text, example.label, 1.0, f"chunk-{i // CHUNK + 1:04d}") for i, example in enumerate(kept)]
    return general, fixed, [posts[i : i + CHUNK] for i in range(0, len(posts), CHUNK)]


def released(examples: Sequence[Example], params: TrainParams, start: WarmStart | None) -> tuple[Trained, float]:
    """A model of these texts, a tenth held out by a text's own hash, and the CPU seconds that training took."""
    training, validation = texts.held_out(examples, VALIDATION)
    split = texts.cached(read_params("text", TextParams).tokenizer)
    split([example.text for example in examples])  # known to the cache, as in a release: training alone is timed
    began = time.process_time()
    return train(training, validation, params, split, start), time.process_time() - began


def scores(trained: Trained, sets: Sequence[Sequence[Example]]) -> list[float]:
    """Macro-F1 on each set."""
    model = texts.classifier(trained)
    answers = [model.probabilities([example.text for example in examples]).argmax(axis=1) for examples in sets]
    return [macro_f1(label_array(examples), said) for examples, said in zip(sets, answers, strict=True)]


def run(chunks: int, bound_every: int, path: Path) -> tuple[dict[str, Policy], float]:
    """Every policy over the stream; the second figure is the general model's macro-F1 on the fixed set."""
    params, window = read_params("train", TrainParams), read_params("catalog", CatalogParams).window
    general, fixed, posts = stream(chunks + 1, path)
    base, _ = released(general, params, None)
    (at_first,) = scores(base, [fixed])
    print(f"general text alone: fixed set {at_first:.4f}", flush=True)
    start = WarmStart.of(base.network, base.vocabulary, "base")
    policies = {name: Policy(name) for name in ("ours", "newest", "bound")}
    for number in range(1, chunks + 1):
        plans = {"ours": (ours_rows(number, window, general, posts), start), "newest": (posts[number - 1], None)}
        if number % bound_every == 0 or number == chunks:
            plans["bound"] = ([example for chunk in posts[:number] for example in chunk] + general, None)
        for name, (examples, warm) in plans.items():
            trained, seconds = released(examples, params, warm)
            ahead, then = scores(trained, [posts[number], fixed])
            policy = policies[name]
            policy.after.append(number)
            policy.next_chunk.append(ahead)
            policy.fixed.append(then)
            policy.seconds.append(seconds)
            mix = trained.facts["mix"]
            print(
                f"chunk {number}: {name}: next {ahead:.4f}, fixed {then:.4f}, {seconds:.1f} s,"
                f" wide {mix['wide']:.2f} deep {mix['deep']:.2f}",
                flush=True,
            )
            if name == "ours":
                start = after(number, trained)
    return policies, at_first


def after(number: int, trained: Trained) -> WarmStart:
    """Where the release after that chunk goes on."""
    sources = frozenset(f"chunk-{i:04d}" for i in range(1, number + 1))
    return WarmStart.of(trained.network, trained.vocabulary, f"{number:04d}", sources)


def ours_rows(number: int, window: int, general: Sequence[Example], posts: Sequence[list[Example]]) -> list[Example]:
    """The texts of our release after that chunk: the window, and general texts 1:1."""
    seen = [example for chunk in posts[max(0, number - window) : number] for example in chunk]
    known = np.random.default_rng(number).permutation(len(general))[: len(seen)]
    return [*seen, *(general[i] for i in known)]


def vary(chunks: int, path: Path) -> list[Row]:
    """Our policy with other params of the warm start: the Bi-LSTM alone and with the wide path, last third's mean."""
    params, window = read_params("train", TrainParams), read_params("catalog", CatalogParams).window
    general, fixed, posts = stream(chunks + 1, path)
    base, _ = released(general, params, None)
    split = texts.cached(read_params("text", TextParams).tokenizer)
    rows: list[Row] = []
    for name, change in VARIANTS.items():
        start: WarmStart | None = WarmStart.of(base.network, base.vocabulary, "base")
        found = []
        for number in range(1, chunks + 1):
            now = replace(params, **change)
            trained, seconds = released(
                ours_rows(number, window, general, posts), now, start if now.warm_start else None
            )
            start = after(number, trained)
            if number > chunks * 2 // 3:
                alone = [
                    macro_f1(
                        label_array(some),
                        texts.bilstm_logits(trained, split, [example.text for example in some]).argmax(axis=1),
                    )
                    for some in (posts[number], fixed)
                ]
                found.append([*scores(trained, [posts[number], fixed]), *alone, seconds])
        mean = [round(float(value), 4) for value in np.mean(found, axis=0)]
        print(name, mean, flush=True)
        for what, value in zip(
            ("next", "fixed", "bilstm_next", "bilstm_fixed", "train_cpu_seconds"), mean, strict=True
        ):
            unit = "s" if what.endswith("seconds") else "macro-F1"
            usual = next((row.ours for row in rows if row.measure == f"as_params_say_{what}"), None)
            rows.append(Row(f"{name}_{what}", value, unit, usual, "as params say" if usual is not None else None))
    return rows


def picture(policies: dict[str, Policy], at_first: float, path: Path) -> None:
    """Both curves of each policy as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, of, title in zip(
        figure.subplots(1, 2, sharey=True), ("next_chunk", "fixed"), ("the next chunk", "the fixed set"), strict=True
    ):
        for name, colour in (("bound", "tab:gray"), ("ours", "tab:orange"), ("newest", "tab:blue")):
            policy = policies[name]
            axes.plot(
                policy.after, getattr(policy, of), label=name, color=colour, marker="." if name == "bound" else ""
            )
        if of == "fixed":
            axes.axhline(at_first, color="black", linewidth=0.6, linestyle=":")
        axes.set(xlabel="chunks of 1,000 so far", ylabel="macro-F1", title=f"on {title}")
        axes.legend()
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    """Replay the stream, print the table, write the picture and benchmarks/results/incremental.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.incremental", description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=40)
    parser.add_argument("--bound-every", type=int, default=5)
    parser.add_argument("--data", type=Path, default=texts.SHARED / "nsmc_ratings.tsv.gz")
    parser.add_argument("--vary", action="store_true", help="compare params of the warm start, on 6 chunks")
    given = parser.parse_args()
    if given.vary:
        report("incremental_choices", vary(6, given.data), chunks=6)
        return
    policies, at_first = run(given.chunks, given.bound_every, given.data)
    ours, newest, bound = (policies[name] for name in ("ours", "newest", "bound"))
    both = bound.after  # the releases at which the bound was made too
    mine = round(ours.at(ours.next_chunk, both), 4)
    report(
        "incremental",
        [
            Row(
                "prequential_macro_f1", mine, "macro-F1", round(bound.at(bound.next_chunk, both), 4), "all data so far"
            ),
            Row("bound_macro_f1", round(bound.at(bound.next_chunk, both), 4), "macro-F1"),
            Row("newest_only_macro_f1", round(newest.at(newest.next_chunk, both), 4), "macro-F1", mine, "ours"),
            Row("prequential_macro_f1_every_release", round(float(np.mean(ours.next_chunk)), 4), "macro-F1"),
            Row("fixed_set_macro_f1", round(ours.fixed[-1], 4), "macro-F1, last", round(at_first, 4), "before chunk 1"),
            Row("fixed_set_forgetting", round(at_first - ours.fixed[-1], 4), "macro-F1 lost"),
            Row("fixed_set_worst_forgetting", round(at_first - min(ours.fixed), 4), "macro-F1 lost, worst release"),
            Row("newest_only_forgetting", round(at_first - newest.fixed[-1], 4), "macro-F1 lost"),
            Row(
                "train_seconds_ratio",
                round(ours.at(ours.seconds, both) / bound.at(bound.seconds, both), 4),
                "of the bound's CPU seconds",
            ),
            Row(
                "train_cpu_seconds",
                round(ours.at(ours.seconds, both), 2),
                "s",
                round(bound.at(bound.seconds, both), 2),
                "all data so far",
            ),
        ],
        chunks=given.chunks,
        bound_every=given.bound_every,
        compared_at=both,
    )
    picture(policies, at_first, RESULTS / "incremental.png")
    curves = [
        {"policy": p.name, "chunk": c, "next_chunk": n, "fixed": f, "train_cpu_seconds": round(s, 2)}
        for p in policies.values()
        for c, n, f, s in zip(p.after, p.next_chunk, p.fixed, p.seconds, strict=True)
    ]
    write_csv(RESULTS / "incremental.csv", curves, list(curves[0]))


if __name__ == "__main__":
    errors.run(main)
