"""One raw chunk becomes one labelled chunk: `data/labeled_chunks/labeled_data_0007.csv` and its provenance.

Nothing in either file depends on the time or on the order of answers: with the answers in the cache a second
run writes the same bytes.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.files import csv_bytes, read_csv, write_bytes, write_json
from pipeline.gold import read_gold
from pipeline.hashing import file_hash
from pipeline.label.attempts import Attempts, setup_of
from pipeline.label.calibration import Calibrations
from pipeline.label.decoding import decoding
from pipeline.label.dispatch import OnProgress
from pipeline.label.estimate import Estimate
from pipeline.label.labeler import Labeler, open_labeler
from pipeline.label.options import Options
from pipeline.label.quality import Plan, quality_problems, sample
from pipeline.label.records import CoverageError, LabelReport, QualityError
from pipeline.labels import SENTIMENTS, parse_label
from pipeline.layout import CHUNK_COLUMNS, GOLD, LABEL_COLUMNS, labeled_path, raw_path
from pipeline.live.records import Answer
from pipeline.live.store import Store
from pipeline.settings import Settings

log = logging.getLogger(__name__)

OnEstimate = Callable[[Estimate], None]
COLUMNS = CHUNK_COLUMNS + LABEL_COLUMNS
MAX_REFUSED = 0.3  # of a chunk's posts: beyond it, what is left is not what players write


def label_chunk(
    number: str | int,
    *,
    settings: Settings,
    store: Store,
    params: Mapping[str, Any],
    root: Path = Path(),
    on_progress: OnProgress | None = None,
    on_estimate: OnEstimate | None = None,
    ask_again: bool = False,
) -> LabelReport:
    """Label the raw chunk `number` ("0007" or 7) and write the labelled chunk and its provenance.

    `params` is section `label` of params.yaml. Answers already in the store's cache are not asked for again; with
    `ask_again` posts are that were refused for good. Along with the posts, gold texts, repeats and canaries are asked
    (`pipeline/label/quality.py`).
    Runs an event loop of its own: call it from a thread where one runs already.
    Raises DataFileError (no raw chunk), PromptError, LabelServerError (nobody labels), CoverageError (too few
    labels) or QualityError (labels not to be trusted; they are set aside): nothing is written then.
    """
    name = f"{number:04d}" if isinstance(number, int) else number
    job = _Job(name, settings, store, Options.of(params), root, on_progress, on_estimate, ask_again)
    attempts = Attempts(store, int(name), setup_of(settings, params))
    try:
        report = asyncio.run(job.run(attempts.failed_before))
    except (CoverageError, QualityError) as problem:
        attempts.failed(problem)
        raise
    attempts.succeeded()
    return report


class _Job:
    """Labelling one chunk."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        store: Store,
        options: Options,
        root: Path,
        on_progress: OnProgress | None,
        on_estimate: OnEstimate | None,
        ask_again: bool,
    ) -> None:
        self.name, self.options, self.root = name, options, root
        self.source = raw_path(name, root)
        self.rows = read_csv(self.source, CHUNK_COLUMNS)
        self._settings, self._store, self._ask_again = settings, store, ask_again
        self._on_progress, self._on_estimate = on_progress, on_estimate

    async def run(self, failed_before: bool) -> LabelReport:
        """Ask, judge, write. `failed_before`: the last run's labels were not to be trusted."""
        size = self.options.gold_sample
        gold = sample(read_gold(self.root), size) if size else []
        if size and not gold:
            log.warning("there is no gold post in %s: nobody checks the LLM's labels", self.root / GOLD)
        labeler = await open_labeler(self._settings, self._store, self.options, gold)
        try:
            texts = [labeler.shown(row["title"], row["body"]) for row in self.rows]
            await labeler.require_room(texts)
            if self._ask_again:
                labeler.forget_refusals(texts)
            plan = Plan.of(self.name, texts, labeler, gold)
            if failed_before:  # a hundred questions say whether a thousand are worth asking
                measured = {**plan.wanted(), "": [*plan.wanted()[""], *plan.repeats]}
                self._judge(labeler, measured, plan.measure(await labeler.measured(measured)))
            wanted = plan.wanted()
            wanted[""] = [*texts, *wanted[""]]
            if self._on_estimate:
                self._on_estimate(await labeler.estimate(wanted))
            answers = await labeler.measured(wanted, self._on_progress)
            calibrations = await labeler.calibrations()
        finally:
            await labeler.close()
        quality = plan.measure(answers)
        self._judge(labeler, wanted, quality)
        chosen = [answers[""][text] for text in texts]
        report = self._report(labeler, chosen, quality)
        self._write(report, labeler, calibrations, chosen)
        labeler.accept(wanted)
        return report

    def _judge(self, labeler: Labeler, asked: Mapping[str, Sequence[str]], quality: Mapping[str, Any]) -> None:
        """Raise QualityError, and set aside what was asked, when these answers are not to be trusted."""
        problems = quality_problems(quality, self.options)
        if not problems:
            return
        count = labeler.set_aside(asked, f"chunk {self.name}: {'; '.join(problems)}")
        raise QualityError(
            f"chunk {self.name} is not written, {labeler.name} is not to be trusted now: {'; '.join(problems)}. "
            f"{count:,} of its answers are set aside, the next run asks anew. Mend the LLM server or load another "
            f"model, then run `python -m pipeline.label {self.name}`; `python -m pipeline.label --check` shows how it "
            "agrees with the gold. Other limits in params.yaml let such labels through"
        )

    def _report(self, labeler: Labeler, chosen: Sequence[Answer], quality: dict[str, Any]) -> LabelReport:
        """What it came to. Raises CoverageError when too few posts got a label."""
        without = [answer for answer in chosen if answer.label is None]
        refused = [answer for answer in without if answer.lasting]
        labelled, able = len(chosen) - len(without), len(chosen) - len(refused)
        coverage = labelled / able if able else 1.0
        if coverage < self.options.min_coverage:
            raise CoverageError(
                f"chunk {self.name}: {len(without)} of {len(chosen)} posts got no label from {labeler.name} "
                f"(label.min_coverage is {self.options.min_coverage:g}): {_reasons(without)}. The labels are kept; the "
                f"next run asks for the others, `python -m pipeline.label {self.name}` does it now"
            )
        if len(refused) > MAX_REFUSED * len(chosen):
            raise CoverageError(
                f"chunk {self.name}: {labeler.name} refuses {len(refused)} of {len(chosen)} posts for good, and nobody "
                f"can learn from the rest: {_reasons(refused)}. Load another model or change label.prompt; "
                f"`python -m pipeline.label {self.name} --ask-again` asks for them again"
            )
        warnings = list(labeler.warnings)
        if refused:
            warnings.append(
                f"{len(refused)} of {len(chosen)} posts have no label for good: {_reasons(refused)}. "
                f"`python -m pipeline.label {self.name} --ask-again` asks for them again"
            )
        return LabelReport(
            chunk=self.name,
            labeler=labeler.name,
            prompt=self.options.prompt,
            mode=labeler.mode,
            posts=len(chosen),
            labelled=labelled,
            refused=len(refused),
            coverage=coverage,
            asked=labeler.asked,
            counts={sentiment: sum(a.label == label for a in chosen) for label, sentiment in enumerate(SENTIMENTS)},
            quality=quality,
            warnings=tuple(warnings),
        )

    def _write(
        self, report: LabelReport, labeler: Labeler, calibrations: Calibrations, chosen: Sequence[Answer]
    ) -> None:
        table = [{**row, **_label_fields(answer, report)} for row, answer in zip(self.rows, chosen, strict=True)]
        target = labeled_path(self.name, self.root)
        write_bytes(target, csv_bytes(table, COLUMNS))
        # Last: a labelled file without its provenance is one that was being written when the machine stopped.
        write_json(target.with_suffix(".json"), _provenance(report, labeler, calibrations, self.source, target))


def _reasons(answers: Sequence[Answer]) -> str:
    """The three most frequent, with their counts."""
    counts = Counter(answer.note for answer in answers)
    return "; ".join(f"{count} × {reason}" for reason, count in counts.most_common(3))


def _label_fields(answer: Answer, report: LabelReport) -> dict[str, Any]:
    return {
        "label": answer.label,
        "sentiment": None if answer.label is None else SENTIMENTS[answer.label],
        "confidence": None if answer.confidence is None else f"{answer.confidence:.4f}",
        "labeler": report.labeler,
        "prompt": report.prompt,
        "note": answer.note,
    }


def _provenance(
    report: LabelReport, labeler: Labeler, calibrations: Calibrations, source: Path, target: Path
) -> dict[str, Any]:
    """Everything that made the labelled file, but no time of day: a rerun gives the same bytes."""
    settings = decoding(labeler.mode, labeler.prompt.words, labeler.thinking_off, labeler.samples)
    return {
        "chunk": report.chunk,
        "model": labeler.model,
        "labeler": report.labeler,
        "prompt": report.prompt,
        "prompt_sha256": labeler.prompt.digest,
        "mode": report.mode,
        "decoding": json.loads(json.dumps(settings)),
        "samples": labeler.samples,
        "params": {
            "max_chars": labeler.options.max_chars,
            "min_coverage": labeler.options.min_coverage,
            "gold_sample": labeler.options.gold_sample,
            "repeat_share": labeler.options.repeat_share,
        },
        "posts": report.posts,
        "labelled": report.labelled,
        "refused": report.refused,
        "coverage": round(report.coverage, 6),
        "counts": report.counts,
        "quality": report.quality,
        "calibration": calibrations.provenance,
        "raw_sha256": file_hash(source),
        "labeled_sha256": file_hash(target),
    }


def live_labels(number: str, root: Path = Path()) -> list[dict[str, Any]]:
    """The labels of a labelled chunk as `Store.set_post_labels` takes them. Raises DataFileError."""
    columns = ("board_id", "post_id", "label", "confidence", "labeler")
    return [
        {
            "board_id": int(row["board_id"]),
            "post_id": int(row["post_id"]),
            "label": parse_label(row["label"]),
            "confidence": float(row["confidence"]) if row["confidence"] else None,
            "labeler": row["labeler"],
        }
        for row in read_csv(labeled_path(number, root), columns)
        if row["label"]
    ]
