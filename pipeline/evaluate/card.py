"""The evaluation card: what `models/metrics.json` and its companions say, as Markdown for people.

`pipeline.release.promote` puts it beside the model it is about, as `models/production/EVALUATION.md`.
"""

from collections.abc import Sequence
from typing import Any

from pipeline.evaluate.figures import NAMES

_SETS = {
    "gold": "gold (`data/gold/`, never learned from)",
    "test_chunk": "held-out posts of the newest chunk (labels by the LLM: agreement with it)",
    "test_base": "held-out general texts (labels of the base file)",
}


def card(
    versions: dict[str, str],
    metrics: dict[str, Any],
    slices: Sequence[dict[str, Any]],
    *,
    smoke_error: str,
    abstain_below: float,
    slice_min: int,
    bounds: Sequence[int],
    unreadable: str = "",
) -> str:
    """The card. `versions` are the models' by role; `metrics` as in models/metrics.json, `slices` as in slices.csv.

    `unreadable`: why this code can't load the champion.
    """
    against = f"champion {versions['champion']}" if "champion" in versions else "no champion: it is the first"
    if unreadable:
        against += f" by its stored answers on gold. {unreadable.rstrip('.')}"
    parts = [
        [f"# Evaluation of model {versions['candidate']}", "", f"Compared with: {against}."],
        [f"Smoke test: {smoke_error or 'passed'}."],
        ["## Figures", "", *_figures(metrics, versions), *_left_out(metrics)],
        ["## By label", "", *_by_label(metrics["candidate"])] if metrics.get("candidate") else [],
        ["## Uncertain answers (불확실)", "", *_abstain(metrics, abstain_below)],
        ["## Answers that changed against the champion", "", *_flips(metrics)] if "flips" in metrics else [],
        ["## Answers that changed with a job's name", "", *_job_flips(metrics)] if "job_flips" in metrics else [],
        [
            "## Slices",
            "",
            f"Short texts have under {bounds[0]} characters, long ones {bounds[1]} and more. macro-F1 is the mean over",
            f"the labels that occur; with fewer than {slice_min} texts only their number is given.",
            "",
            *_slices(slices),
        ],
        ["## Suspicious training labels", "", *_suspects(metrics["suspects"])],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The lines of a Markdown table; the first column is text, the others are right-aligned. None becomes a dash."""
    ruler = "|---|" + "---:|" * (len(columns) - 1)
    return [f"| {' | '.join(columns)} |", ruler, *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)]


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _figures(metrics: dict[str, Any], versions: dict[str, str]) -> list[str]:
    rows = [
        [_SETS[name], role, f["rows"], f["accuracy"], f["macro_f1"], _between(f), f["ece"]]
        for name in _SETS
        for role in versions
        if (f := metrics.get(role, {}).get(name))
    ]
    return table(("test set", "model", "texts", "accuracy", "macro-F1", "95 % interval", "ECE"), rows)


def _left_out(metrics: dict[str, Any]) -> list[str]:
    counts = {name: count for name, count in metrics.get("left_out", {}).items() if count}
    if not counts:
        return []
    told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return ["", f"Left out of every figure, as one of the models has learned something like them: {told} text(s)."]


def _job_flips(metrics: dict[str, Any]) -> list[str]:
    found = metrics["job_flips"]
    if not found["texts"]:
        return ["Not looked for: no champion that answers, or too few texts that name one job."]
    return [
        f"{found['texts']} texts were judged with the name of each job in them. Most answers changed with",
        f"{found['most']}: {found['share']:.0%} of the texts; with the median job {found['median']:.0%}.",
        "`models/evaluation/job_flips.csv` has every job.",
    ]


def _by_label(sets: dict[str, Any]) -> list[str]:
    rows = [
        [f"{name}, {label}", *(sets[name][label][figure] for figure in ("rows", "precision", "recall", "f1"))]
        for name in _SETS
        if name in sets
        for label in NAMES
    ]
    return table(("test set, label", "texts", "precision", "recall", "F1"), rows)


def _abstain(metrics: dict[str, Any], threshold: float) -> list[str]:
    rows = [
        [name, figures.get("kept_share"), figures.get("kept_accuracy"), figures["accuracy"]]
        for name in _SETS
        if (figures := metrics.get("candidate", {}).get(name))
    ]
    if not threshold:
        return ["Every answer counts: too few texts were held out to find a threshold."]
    return [
        f"An answer with a confidence under {threshold:.2f} is shown as 불확실. What that leaves here:",
        "",
        *table(("test set", "answers kept", "accuracy of those", "accuracy of all"), rows),
    ]


def _flips(metrics: dict[str, Any]) -> list[str]:
    rows = [[name, *counts.values()] for name, counts in metrics["flips"].items()]
    lines = table(("test set", "better", "worse", "both wrong"), rows)
    return [*lines, "", "Each of them stands in `models/evaluation/flips.csv`."]


def _slices(rows: Sequence[dict[str, Any]]) -> list[str]:
    mine = [row for row in rows if row["model"] == "candidate"]
    cells = [
        [
            f"{row['set']}, {row['by']}, {row['slice']}",
            row["rows"],
            row["accuracy"],
            row["macro_f1"],
            _between(row) if row["macro_f1"] is not None else None,
        ]
        for row in mine
    ]
    return table(("slice", "texts", "accuracy", "macro-F1", "95 % interval"), cells)


def _suspects(counts: dict[str, Any]) -> list[str]:
    if not counts["checked"]:
        return ["Not looked for: too few texts of each mood."]
    flagged, checked = counts["flagged"], counts["checked"]
    return [
        f"{flagged:,} of {checked:,} training labels ({flagged / checked:.1%}) look doubtful to small models that did",
        "not learn from them, and such models err themselves. `models/evaluation/suspects.csv` lists them, the most",
        "suspicious first, for people to review; none was left out of training.",
    ]


def _between(figures: dict[str, Any]) -> str:
    return f"{figures['macro_f1_low']:.3f} to {figures['macro_f1_high']:.3f}"
