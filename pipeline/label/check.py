"""How well an LLM agrees with people: labels the gold texts and compares. Writes nothing but the label cache."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score

from pipeline.files import DataFileError, read_csv
from pipeline.label.answer import LabelServerError
from pipeline.label.run import OnProgress, Options, open_labeler
from pipeline.labels import SENTIMENTS, parse_label

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.store import Store

_LABELS = [0, 1, 2]


@dataclass(frozen=True, slots=True)
class Agreement:
    """LLM against people over the texts that the LLM labelled. `matrix[person][llm]` counts texts."""

    agreement: float
    kappa: float
    macro_f1: float
    matrix: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, people: list[int], llm: list[int]) -> "Agreement":
        """Agreement (accuracy), Cohen's kappa and macro-F1 of two equally long, non-empty lists of labels."""
        matrix = confusion_matrix(people, llm, labels=_LABELS)
        return cls(
            agreement=float(accuracy_score(people, llm)),
            kappa=float(cohen_kappa_score(people, llm, labels=_LABELS)),
            macro_f1=float(f1_score(people, llm, labels=_LABELS, average="macro", zero_division=0)),
            matrix=tuple(tuple(int(count) for count in row) for row in matrix),
        )


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Raw and calibrated agreement, and over the more confident half; `seconds` counts asking alone."""

    labeler: str
    mode: str
    texts: int
    labelled: int
    asked: int
    seconds: float
    raw: Agreement
    calibrated: Agreement
    confident_half: float | None

    def __str__(self) -> str:
        pace = f"{self.asked} asked, {self.asked / self.seconds:.1f} a second" if self.asked else "all from the cache"
        lines = [
            f"labeler {self.labeler} ({self.mode})",
            f"{self.labelled} of {self.texts} gold texts labelled, {pace}",
        ]
        for name, figures in (("raw", self.raw), ("calibrated", self.calibrated)):
            lines.append(
                f"{name:<11} agreement {figures.agreement:.3f}  kappa {figures.kappa:.3f}  "
                f"macro-F1 {figures.macro_f1:.3f}"
            )
        if self.confident_half is not None:
            lines.append(f"agreement on the more confident half: {self.confident_half:.3f}")
        lines.append("person \\ LLM " + " ".join(f"{name:>4}" for name in SENTIMENTS))
        for name, row in zip(SENTIMENTS, self.calibrated.matrix, strict=True):
            lines.append(f"{name:<11}" + " ".join(f"{count:>6}" for count in row))
        return "\n".join(lines)


def read_gold(root: Path = Path()) -> list[tuple[str, str, int]]:
    """Title, body and label of every gold text (`data/gold/*.csv`). Raises DataFileError."""
    files = sorted((root / "data" / "gold").glob("*.csv"))
    if not files:
        raise DataFileError(f"no gold file in {root / 'data' / 'gold'}: `dvc pull` restores tracked files")
    gold = []
    for path in files:
        for line, row in enumerate(read_csv(path, ("title", "body", "label")), start=2):
            try:
                gold.append((row["title"], row["body"], parse_label(row["label"])))
            except ValueError as error:
                raise DataFileError(f"{path}, record {line}: {error}") from None
    return gold


def check(
    gold: list[tuple[str, str, int]],
    *,
    settings: "Settings",
    store: "Store",
    options: Options,
    on_progress: OnProgress | None = None,
) -> CheckReport:
    """Label the gold texts and compare. Raises LabelServerError, also when not one text got a label."""
    return asyncio.run(_check(gold, settings, store, options, on_progress))


async def _check(
    gold: list[tuple[str, str, int]],
    settings: "Settings",
    store: "Store",
    options: Options,
    on_progress: OnProgress | None,
) -> CheckReport:
    labeler = await open_labeler(settings, store, options)
    try:
        await labeler.prior()
        asked, begin = labeler.asked, time.monotonic()
        texts = [labeler.shown(title, body) for title, body, _ in gold]
        raw = await labeler.raw_answers(texts, on_progress)
        seconds = max(time.monotonic() - begin, 1e-9)
        asked = labeler.asked - asked
        weighed = await labeler.answers(texts)
    finally:
        await labeler.close()
    pairs = [
        (label, raw[text].label, weighed[text])
        for text, (_, _, label) in zip(texts, gold, strict=True)
        if raw[text].label is not None
    ]
    if not pairs:
        raise LabelServerError(f"{labeler.name} labelled none of {len(gold)} gold texts: {raw[texts[0]].note}")
    people = [label for label, _, _ in pairs]
    ranked = sorted(pairs, key=lambda pair: -(pair[2].confidence or 0.0))[: max(1, len(pairs) // 2)]
    half = sum(label == answer.label for label, _, answer in ranked) / len(ranked)
    return CheckReport(
        labeler=labeler.name,
        mode=labeler.mode,
        texts=len(gold),
        labelled=len(pairs),
        asked=asked,
        seconds=seconds,
        raw=Agreement.of(people, [int(first) for _, first, _ in pairs if first is not None]),
        calibrated=Agreement.of(people, [int(a.label) for _, _, a in pairs if a.label is not None]),
        confident_half=half if labeler.mode == "logprobs" else None,
    )
