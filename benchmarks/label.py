"""Label: are the LLM server's slots kept busy, what does our code cost beside the server, how good are the labels?

    make bench BENCH=label

Slots: a stand-in server with 8 slots that takes 200 ms for each answer, asked by our labeler and, as the old way,
by one question after the other. Pace: the embedded LLM over the gold posts by our labeler, beside the same server
given the same prompts as one batch of its own API (llama.cpp's `/completion` with a list), in turns; medians.
Quality: the embedded LLM against the gold labels; the baseline is what it says before calibration. The same answers
calibrated in two other ways stand beside: by the prompt's own texts alone, and by content-free posts (Zhao et al. 2021,
arXiv 2102.09690).
"""

import argparse
import asyncio
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai

from benchmarks.support.harness import ROOT, Row, report
from demo.llm import running_llm
from pipeline import errors
from pipeline import settings as configuration
from pipeline.gold import read_gold
from pipeline.label.agreement import Agreement
from pipeline.label.calibration import Calibration, fit
from pipeline.label.check import check
from pipeline.label.decoding import decoding
from pipeline.label.labeler import open_labeler
from pipeline.label.options import Options
from pipeline.label.prompt import load_prompt, shown_text
from pipeline.live.store import Store
from pipeline.params import read_params
from pipeline.settings import Settings

SLOTS, LATENCY_S = 8, 0.2
CONTENT_FREE = ("N/A", "...", "글", "-", "내용 없음", "제목 없음", "[MASK]", "게시글", "제목\n내용", "무제\n내용 없음")
MANY, FEW = 400, 40  # questions of our labeler; of the old way, which is slow


def main() -> None:
    """Run once, print the table, write benchmarks/results/label.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of ours and of the server's own batch")
    given = parser.parse_args()
    rows = [*slots(), *embedded(given.rounds)]
    report("label", rows, slots=SLOTS, latency_s=LATENCY_S, questions=MANY, rounds=given.rounds, load=os.getloadavg())


def slots() -> list[Row]:
    """How much of the slots' capacity is used, when the server tells its slots and when it does not."""
    rows = []
    for name, silent in (("slot_utilisation_8x200ms", False), ("slot_utilisation_8x200ms_untold", True)):
        with stand_in(silent) as url:
            one = openai.OpenAI(base_url=url, api_key="x", max_retries=0)
            prompt = load_prompt("mood-1")
            for text in texts(FEW):
                messages: Any = prompt.messages(text)
                one.chat.completions.create(model="slots", messages=messages, **decoding("logprobs", prompt.words))
            single = utilisation(url, FEW)
            ours(url, texts(MANY))
            used = utilisation(url, MANY)
        print(f"{name}: {used:.3f} of the capacity, one at a time {single:.3f}", flush=True)
        rows.append(Row(name, round(used, 4), "share", round(single, 4), "one at a time, no pause"))
    return rows


def embedded(rounds: int) -> list[Row]:
    """Posts a second of the embedded LLM, ours and the server's own best batch; and agreement with the gold."""
    gold = read_gold(ROOT)
    options = read_params("label", Options, ROOT / "params.yaml")
    shown = [shown_text(item.title, item.body, options.max_chars) for item in gold]
    mine: list[float] = []
    best: list[float] = []
    with running_llm() as url:
        told = configuration.load({"LLM_ENDPOINTS": url}, env_file=Path("no.env"))
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder, Store(f"sqlite:///{folder}/live.db") as store:
                found = check(gold, settings=told, store=store, options=options)
                others = asyncio.run(otherwise(told, store, options))
            mine.append(found.asked / found.seconds)
            best.append(len(shown) / own_batch(url, shown, len(shown)))
            print(f"ours {mine[-1]:.2f} posts/s, the server's own batch {best[-1]:.2f}\n{found}", flush=True)
    pace, batch = statistics.median(mine), statistics.median(best)
    return [
        Row("embedded_posts_per_second", round(pace, 3), "posts/s", round(batch, 3), "the server's own best batch"),
        *(
            Row(
                f"gold_{of}",
                round(getattr(found.calibrated, attribute), 4),
                unit,
                round(getattr(found.raw, attribute), 4),
                "uncalibrated",
            )
            for of, attribute, unit in (
                ("accuracy", "agreement", "share"),
                ("macro_f1", "macro_f1", "macro-F1"),
                ("kappa", "kappa", "κ"),
            )
        ),
        *(Row(name, round(kappa, 4), "κ") for name, kappa in others.items()),
    ]


async def otherwise(settings: Settings, store: Store, options: Options) -> dict[str, float]:
    """κ on the gold of the same raw answers, calibrated in other ways than ours."""
    labeler = await open_labeler(settings, store, options)
    try:
        gold = {labeler.shown(item.title, item.body): item.label for item in read_gold(ROOT)}
        own = {labeler.shown(item.title, item.body): item.label for item in labeler.prompt.calibration}
        answers = await labeler.raw_answers([*gold, *own, *CONTENT_FREE])
    finally:
        await labeler.close()

    def kappa(calibration: Calibration) -> float:
        pairs = [(label, calibration(answers[text]).label) for text, label in gold.items()]
        told = [(label, said) for label, said in pairs if said is not None]
        return Agreement.of([label for label, _ in told], [said for _, said in told]).kappa

    by_texts = fit([(answers[text], label) for text, label in own.items()])
    assert by_texts is not None
    found = []
    for text in CONTENT_FREE:
        scores = answers[text].scores
        assert scores is not None
        found.append(kappa(Calibration(1.0, (-math.log(scores[0]), -math.log(scores[1]), -math.log(scores[2])))))
        print(f"content-free {text!r}: κ {found[-1]:.3f}", flush=True)
    return {
        "gold_kappa_prompt_texts": kappa(by_texts),
        "gold_kappa_content_free_mean": statistics.mean(found),
        "gold_kappa_content_free_best": max(found),
    }


def texts(count: int) -> list[str]:
    """Texts that differ."""
    return [f"{number}번 글\n오늘 점검이 몇 시인가요" for number in range(count)]


def ours(url: str, shown: list[str]) -> None:
    """Our labeler over these texts, from an empty cache."""

    async def go(store: Store) -> None:
        options = read_params("label", Options, ROOT / "params.yaml")
        labeler = await open_labeler(configuration.load({"LLM_ENDPOINTS": url}, Path("no.env")), store, options)
        try:
            utilisation(url, None)  # the probe does not count
            await labeler.raw_answers(shown)
        finally:
            await labeler.close()

    with tempfile.TemporaryDirectory() as folder, Store(f"sqlite:///{folder}/live.db") as store:
        asyncio.run(go(store))


def own_batch(url: str, shown: list[str], size: int) -> float:
    """Seconds that the server takes for the same prompts, given as lists of `size` to its own API."""
    root, prompt = url.removesuffix("/v1"), load_prompt("mood-1")
    with httpx.Client(base_url=root, trust_env=False, timeout=600) as http:
        prompts = [
            http.post("/apply-template", json={"messages": prompt.messages(text)}).raise_for_status().json()["prompt"]
            for text in shown
        ]
        begin = time.perf_counter()
        for start in range(0, len(prompts), size):
            batch = prompts[start : start + size]
            request = {"prompt": batch, "n_predict": 1, "n_probs": 20, "temperature": 0.0, "seed": 0}
            assert len(http.post("/completion", json=request).raise_for_status().json()) == len(batch)
        return time.perf_counter() - begin


def utilisation(url: str, questions: int | None) -> float:
    """Share of the slots' capacity that was used since the last call."""
    found = httpx.get(f"{url.removesuffix('/v1')}/_busy", trust_env=False).json()
    assert questions is None or found["questions"] == questions, found
    return found["busy"] / (SLOTS * found["span"]) if found["span"] else 0.0


@contextmanager
def stand_in(silent: bool) -> Iterator[str]:
    """The stand-in as a process of its own, so that it does not share an interpreter with us."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.support.slot_server",
        "--slots",
        str(SLOTS),
        "--latency",
        str(LATENCY_S),
    ]
    process = subprocess.Popen(
        [*command, *(["--silent"] if silent else [])], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    errors.run(main)
