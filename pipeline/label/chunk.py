"""One raw chunk becomes one labelled chunk: `data/labeled_chunks/labeled_data_0007.csv` and its provenance.

Nothing in either file depends on the time or on the order of answers: with the answers in the cache a second
run writes the same bytes.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.files import csv_bytes, read_csv, write_bytes, write_json
from pipeline.gold import read_gold
from pipeline.hashing import file_hash
from pipeline.label.calibration import Calibrations
from pipeline.label.decoding import decoding
from pipeline.label.dispatch import OnProgress
from pipeline.label.estimate import Estimate
from pipeline.label.labeler import Labeler, open_labeler
from pipeline.label.options import Options
from pipeline.label.quality import Plan, require_quality, sample
from pipeline.label.records import CoverageError, LabelReport
from pipeline.labels import SENTIMENTS, parse_label
from pipeline.layout import CHUNK_COLUMNS as CHUNK_COLUMNS
from pipeline.layout import GOLD, LABEL_COLUMNS, labeled_path, raw_path
from pipeline.live.records import Answer
from pipeline.live.store import Store
from pipeline.settings import Settings

log = logging.getLogger(__name__)

OnEstimate = Callable[[Estimate], None]
COLUMNS = CHUNK_COLUMNS + LABEL_COLUMNS


def label_chunk(
    number: str | int,
    *,
    settings: Settings,
    store: Store,
    params: Mapping[str, Any],
    root: Path = Path(),
    on_progress: OnProgress | None = None,
    on_estimate: OnEstimate | None = None,
) -> LabelReport:
    """Label the raw chunk `number` ("0007" or 7) and write the labelled chunk and its provenance.

    `params` is section `label` of params.yaml. Answers already in the store's cache are not asked for again.
    Along with the posts, gold texts, repeats and canaries are asked (`pipeline/label/quality.py`).
    Runs an event loop of its own: call it from a thread where one runs already.
    Raises DataFileError (no raw chunk), PromptError, LabelServerError (nobody labels), CoverageError (too few
    labels) or QualityError (labels not to be trusted): nothing is written then.
    """
    name = f"{number:04d}" if isinstance(number, int) else number
    options = Options.of(params)
    source = raw_path(name, root)
    rows = read_csv(source, CHUNK_COLUMNS)
    return asyncio.run(_label(name, rows, source, settings, store, options, root, on_progress, on_estimate))


async def _label(
    name: str,
    rows: list[dict[str, str]],
    source: Path,
    settings: Settings,
    store: Store,
    options: Options,
    root: Path,
    on_progress: OnProgress | None,
    on_estimate: OnEstimate | None,
) -> LabelReport:
    gold = sample(read_gold(root), options.gold_sample) if options.gold_sample else []
    if options.gold_sample and not gold:
        log.warning("there is no gold post in %s: nobody checks the LLM's labels", root / GOLD)
    labeler = await open_labeler(settings, store, options, gold)
    try:
        texts = [labeler.shown(row["title"], row["body"]) for row in rows]
        await labeler.require_room(texts)
        plan = Plan.of(name, texts, labeler, gold)
        wanted = plan.wanted()
        wanted[""] = [*texts, *wanted[""]]
        if on_estimate:
            on_estimate(await labeler.estimate(wanted))
        answers = await labeler.measured(wanted, on_progress)
        calibrations = await labeler.calibrations()
    finally:
        await labeler.close()

    chosen = [answers[""][text] for text in texts]
    labelled = sum(answer.label is not None for answer in chosen)
    coverage = labelled / len(rows) if rows else 1.0
    if coverage < options.min_coverage:
        reasons = Counter(answer.note for answer in chosen if answer.label is None)
        why = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common(3))
        raise CoverageError(
            f"chunk {name}: {len(rows) - labelled} of {len(rows)} posts got no label from {labeler.name} "
            f"(label.min_coverage is {options.min_coverage:g}): {why}. The labels are kept; run it again"
        )
    quality = plan.measure(answers)
    require_quality(name, labeler.name, quality, options)
    counts = {sentiment: sum(a.label == label for a in chosen) for label, sentiment in enumerate(SENTIMENTS)}
    report = LabelReport(
        chunk=name,
        labeler=labeler.name,
        prompt=options.prompt,
        mode=labeler.mode,
        posts=len(rows),
        labelled=labelled,
        coverage=coverage,
        asked=labeler.asked,
        counts=counts,
        quality=quality,
        warnings=tuple(labeler.warnings),
    )
    table = [{**row, **_label_fields(answer, report)} for row, answer in zip(rows, chosen, strict=True)]
    data = csv_bytes(table, COLUMNS)
    target = labeled_path(name, root)
    write_bytes(target, data)
    # Last: a labelled file without its provenance is one that was being written when the machine stopped.
    write_json(target.with_suffix(".json"), _provenance(report, labeler, calibrations, source, target))
    return report


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
