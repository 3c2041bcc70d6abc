"""How well an LLM agrees with the gold labels: asks about the gold texts, compares. Writes nothing but the cache."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.gold import GoldPost
from pipeline.label.agreement import PRECISION, Agreement, Band, CutOff, Judged, bands, cut_off
from pipeline.label.calibration import Calibrations
from pipeline.label.dispatch import OnProgress
from pipeline.label.labeler import open_labeler
from pipeline.label.options import Options
from pipeline.label.quality import sample
from pipeline.label.records import LabelServerError
from pipeline.labels import SENTIMENTS
from pipeline.live.store import Store
from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Raw and calibrated agreement; by confidence where the server gives probabilities. `seconds` counts asking."""

    labeler: str
    mode: str
    texts: int
    labelled: int
    asked: int
    seconds: float
    raw: Agreement
    calibrated: Agreement
    bands: tuple[Band, ...]
    cut_off: CutOff | None
    calibrations: Calibrations

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
        if self.calibrations.whole:
            whole, fitted = self.calibrations.whole, self.calibrations
            bias = ", ".join(f"{name} {value:+.2f}" for name, value in zip(SENTIMENTS, whole.bias, strict=True))
            lines.append(
                f"{'':<11} fitted on {fitted.texts} texts of the prompt and {fitted.gold} of the gold (those without "
                f"themselves): scale {whole.scale:.2f}, bias {bias}"
            )
        if self.bands:
            lines += [_band_line(band) for band in self.bands]
            lines.append(
                f"precision {PRECISION:g}: no confidence reaches it"
                if self.cut_off is None
                else f"precision {self.cut_off.precision:.2f} from confidence {self.cut_off.confidence:.3f} up: "
                f"{self.cut_off.share:.0%} of the texts (chosen on these same texts)"
            )
        lines.append("gold \\ LLM " + " ".join(f"{name:>4}" for name in SENTIMENTS))
        for name, row in zip(SENTIMENTS, self.calibrated.matrix, strict=True):
            lines.append(f"{name:<11}" + " ".join(f"{count:>6}" for count in row))
        return "\n".join(lines)


def _band_line(band: Band) -> str:
    figures = "" if band.agreement is None else f"  agreement {band.agreement:.3f}"
    kappa = "" if band.kappa is None else f"  kappa {band.kappa:.3f}"
    return f"confidence {band.low:.1f} to {band.high:.1f}: {band.texts:>4} texts{figures}{kappa}"


def check(
    gold: Sequence[GoldPost],
    *,
    settings: Settings,
    store: Store,
    options: Options,
    on_progress: OnProgress | None = None,
) -> CheckReport:
    """Label the gold texts and compare. Raises LabelServerError, also when not one text got a label."""
    return asyncio.run(_check(gold, settings, store, options, on_progress))


async def _check(
    gold: Sequence[GoldPost],
    settings: Settings,
    store: Store,
    options: Options,
    on_progress: OnProgress | None,
) -> CheckReport:
    labeler = await open_labeler(settings, store, options, sample(gold, options.gold_sample))
    try:
        texts = [labeler.shown(item.title, item.body) for item in gold]
        await labeler.require_room(texts)
        asked, begin = labeler.asked, time.monotonic()
        raw = await labeler.raw_answers(texts, on_progress)
        seconds = max(time.monotonic() - begin, 1e-9)
        asked = labeler.asked - asked
        weighed = await labeler.answers(texts)
        calibrations = await labeler.calibrations()
    finally:
        await labeler.close()
    pairs = [
        (item.label, first, final)
        for text, item in zip(texts, gold, strict=True)
        if (first := raw[text].label) is not None and (final := weighed[text]).label is not None
    ]
    if not pairs:
        raise LabelServerError(f"{labeler.name} labelled none of {len(gold)} gold texts: {raw[texts[0]].note}")
    right = [label for label, _, _ in pairs]
    judged = [
        Judged(label, final.label, final.confidence)
        for label, _, final in pairs
        if final.label is not None and final.confidence is not None
    ]
    return CheckReport(
        labeler=labeler.name,
        mode=labeler.mode,
        texts=len(gold),
        labelled=len(pairs),
        asked=asked,
        seconds=seconds,
        raw=Agreement.of(right, [first for _, first, _ in pairs]),
        calibrated=Agreement.of(right, [int(final.label) for _, _, final in pairs if final.label is not None]),
        bands=tuple(bands(judged)) if judged else (),
        cut_off=cut_off(judged) if judged else None,
        calibrations=calibrations,
    )
