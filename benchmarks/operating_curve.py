"""Operating curve: how often does the release gate let a worse challenger through, or send an equal one away?

Worlds in which the true difference in macro-F1 of champion and challenger is known: both answer n gold texts, three
quarters of them neutral or as many of each mood, and differ on about 12 % of them. Beside each other:

- before: the rule that the gate began with: released unless macro-F1 on gold is worse by more than 0.01 in more than
  half of the paired bootstrap samples (`promote` as of November 2026, kept here as the baseline);
- ours: `pipeline.release.power`, which may call it a draw;
- ours, nobody there: a draw goes the way that it leans;
- ours, draws reviewed: after a draw a person judges 60 posts on which both differ, and it is decided again.

    make bench BENCH=operating_curve
    make bench BENCH="operating_curve --vary"    # other margins and bounds of the two errors
"""

import argparse
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from benchmarks.support.harness import RESULTS, Row, report
from pipeline import errors
from pipeline.evaluate.figures import f1_of
from pipeline.files import write_bytes
from pipeline.release.power import compare, decide

TEXTS = (160, 500, 1500)
DIFFERENCES = (-0.05, -0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.05)
MIXES = {"neutral": np.array([0.15, 0.75, 0.10]), "balanced": np.full(3, 1 / 3)}
CHAMPION = np.array([[0.62, 0.33, 0.05], [0.10, 0.84, 0.06], [0.08, 0.38, 0.54]])  # its answers to each mood
DIFFERING = 0.12
_STRAY = 0.05  # of the champion's wrong answers, the challenger's other wrong answer
REVIEWED = 60
PARAMS = {
    "margin": 0.02,
    "false_release": 0.1,
    "false_reject": 0.05,
    "loss_weight": 1.0,
    "bootstrap": 1000,
    "seed": 20261122,
}
TOLERANCE, MAX_RISK, BOOTSTRAP = 0.01, 0.5, 1000  # of the rule before
VARIANTS: tuple[dict[str, float], ...] = (
    {},
    {"false_reject": 0.1},
    {"false_release": 0.05},
    {"false_release": 0.2},
    {"margin": 0.03},
    {"margin": 0.03, "false_release": 0.2},
    {"loss_weight": 2.0},
)
SPREAD = 0.02  # of the true differences that a loop of retraining is taken to have, for the mean gain
VERDICTS = ("promoted", "draw", "rejected")
Rule = Callable[[np.ndarray, np.ndarray, np.random.Generator], str]  # table of gold, true table -> verdict


def population(mix: np.ndarray, difference: float) -> np.ndarray:
    """The shares of (label, champion's answer, challenger's answer), shape (3, 3, 3), with that true difference.

    The challenger mends a share of the champion's errors and spoils a share of its right answers; both shares follow
    from the difference in macro-F1 and from the 12 % of texts on which both differ.
    """

    def made(numbers: np.ndarray) -> np.ndarray:
        mended, spoiled = expit(numbers)
        shares = np.zeros((3, 3, 3))
        for label in range(3):
            wrong = [answer for answer in range(3) if answer != label]
            shares[label, label, label] = CHAMPION[label, label] * (1 - spoiled)
            shares[label, label, wrong] = CHAMPION[label, label] * spoiled * _parts(CHAMPION[label, wrong])
            for answer in wrong:
                shares[label, answer, label] = CHAMPION[label, answer] * mended
                shares[label, answer, 3 - label - answer] = CHAMPION[label, answer] * _STRAY
                shares[label, answer, answer] = CHAMPION[label, answer] * (1 - mended - _STRAY)
        return np.asarray(shares * mix[:, None, None])

    def distance(numbers: np.ndarray) -> list[float]:
        shares = made(numbers)
        return [10 * (true_difference(shares) - difference), 1 - np.einsum("yaa->", shares) - DIFFERING]

    return made(least_squares(distance, [-1.0, -2.5]).x)


def _parts(values: np.ndarray) -> np.ndarray:
    return np.asarray(values / values.sum())


def true_difference(shares: np.ndarray) -> float:
    """The challenger's macro-F1 minus the champion's."""
    return float(f1_of(shares.sum(axis=1)).mean() - f1_of(shares.sum(axis=2)).mean())


def before(gold: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> str:
    """The rule that the gate began with; to draw texts with replacement is to draw cells of a multinomial."""
    n = int(gold.sum())
    drawn = rng.multinomial(n, gold.ravel() / n, size=BOOTSTRAP).reshape(-1, 3, 3, 3)
    differences = f1_of(drawn.sum(axis=2)).mean(axis=1) - f1_of(drawn.sum(axis=3)).mean(axis=1)
    worse = (differences < -TOLERANCE).mean()
    return "promoted" if worse <= MAX_RISK else "rejected"


def ours(params: Mapping[str, Any], reviewed: int = 0, *, leaning: bool = False) -> Rule:
    """Our rule. With `reviewed` a draw is decided again by that many more posts on which both differ."""

    def rule(gold: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> str:
        first = decide(compare(gold, params), {}, params)
        if first.verdict != "draw" or not reviewed:
            return first.leaning if leaning else first.verdict
        differing = truth.copy()
        differing[:, np.eye(3, dtype=bool)] = 0
        more = rng.multinomial(reviewed, differing.ravel() / differing.sum()).reshape(3, 3, 3)
        return decide(compare(gold, params, reviewed=more), {}, params).verdict

    return rule


@dataclass(frozen=True)
class Curve:
    """The shares of worlds with each verdict, by true difference."""

    shares: dict[float, dict[str, float]]

    def at(self, difference: float, verdict: str) -> float:
        """The share of that verdict."""
        return self.shares[difference][verdict]

    @property
    def gain(self) -> float:
        """Mean points of macro-F1 that a run gains where true differences spread by 0.02 around 0; a draw gives 0."""
        weights = {d: float(np.exp(-(d**2) / (2 * SPREAD**2))) for d in self.shares}
        gained = sum(weights[d] * d * share["promoted"] for d, share in self.shares.items())
        return 100 * gained / sum(weights.values())


def curve(rule: Rule, mix: np.ndarray, texts: int, worlds: int) -> Curve:
    """What the rule says in that many worlds of each true difference."""
    shares: dict[float, dict[str, float]] = {}
    for difference in DIFFERENCES:
        truth = population(mix, difference)
        verdicts = []
        for seed in range(worlds):
            gold = np.random.default_rng(seed).multinomial(texts, truth.ravel()).reshape(3, 3, 3)
            verdicts.append(rule(gold, truth, np.random.default_rng(seed + 1_000_000)))
        shares[difference] = {verdict: verdicts.count(verdict) / worlds for verdict in VERDICTS}
    return Curve(shares)


def table(curves: Mapping[tuple[str, str, int], Curve]) -> str:
    """Promoted, draw and rejected in per cent, by rule, mix, texts and true difference, as Markdown."""
    lines = ["| gold | rule | " + " | ".join(f"{100 * d:+.0f}" for d in DIFFERENCES) + " | gain a run |"]
    lines.append("|---|---|" + "---:|" * (len(DIFFERENCES) + 1))
    for (name, mix, texts), it in curves.items():
        cells = [
            "/".join(f"{100 * it.at(d, verdict):.0f}" for verdict in VERDICTS if name != "before" or verdict != "draw")
            for d in DIFFERENCES
        ]
        lines.append(f"| {texts} {mix} | {name} | " + " | ".join(cells) + f" | {it.gain:+.2f} |")
    return "\n".join(lines)


def vary(worlds: int) -> str:
    """Other bounds, three quarters neutral: a challenger 3 points worse released, an equal one rejected, draws."""
    lines = ["| gold | bounds | released at -3 | rejected at 0 | draw at 0 | gain a run |", "|---|---|" + "---:|" * 4]
    for texts in TEXTS:
        for change in VARIANTS:
            params = {**PARAMS, **change}
            rules = {"": ours(params), "; 60 reviewed": ours(params, REVIEWED), "; nobody": ours(params, leaning=True)}
            for suffix, rule in rules.items():
                it = curve(rule, MIXES["neutral"], texts, worlds)
                bounds = (", ".join(f"{key} {value}" for key, value in change.items()) or "as chosen") + suffix
                figures = (it.at(-0.03, "promoted"), it.at(0.0, "rejected"), it.at(0.0, "draw"))
                cells = " | ".join(f"{figure:.2f}" for figure in figures)
                lines.append(f"| {texts} | {bounds} | {cells} | {it.gain:+.2f} |")
    return "\n".join(lines)


def picture(curves: Mapping[tuple[str, str, int], Curve]) -> bytes:
    """Share of challengers promoted by true difference, one panel for each number of texts."""
    from matplotlib.figure import Figure  # not pyplot: no window system

    figure = Figure(figsize=(12, 3.8), layout="constrained")
    x = [100 * d for d in DIFFERENCES]
    styles = {"before": ("--", "0.5"), "ours": ("o-", "#0067a8"), "ours, draws reviewed": ("s-", "#b84a00")}
    for axes, texts in zip(figure.subplots(1, len(TEXTS), sharey=True), TEXTS, strict=True):
        for name, (style, colour) in styles.items():
            it = curves[name, "neutral", texts]
            axes.plot(x, [it.at(d, "promoted") for d in DIFFERENCES], style, color=colour, label=f"{name}: promoted")
            if name != "before":
                rejected = [it.at(d, "rejected") for d in DIFFERENCES]
                axes.plot(x, rejected, style.replace("-", ":"), color=colour, alpha=0.5, label=f"{name}: rejected")
        axes.axvline(0, color="0.8", linewidth=1)
        axes.set(title=f"{texts} gold texts, 3/4 neutral", xlabel="true difference in macro-F1, points", ylim=(0, 1))
    figure.axes[0].set_ylabel("share of challengers")
    figure.axes[-1].legend(frameon=False, fontsize=7, loc="center right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def rows_of(curves: Mapping[tuple[str, str, int], Curve]) -> list[Row]:
    """The two errors, how often neither can be said, and the mean gain, beside the rule before.

    Three quarters neutral and 160 texts where the name says nothing else.
    """
    rows = []
    places = [("", "neutral", TEXTS[0]), *((f"_{texts}", "neutral", texts) for texts in TEXTS[1:])]
    for suffix, mix, texts in (*places, ("_balanced", "balanced", TEXTS[0])):
        base = curves["before", mix, texts]
        ways = {"": "ours", "_reviewed": "ours, draws reviewed", "_alone": "ours, nobody there"}
        for way, it in ((way, curves[name, mix, texts]) for way, name in ways.items()):
            for measure, d, verdict in (
                ("false_release_3pt", -0.03, "promoted"),
                ("false_reject_0pt", 0.0, "rejected"),
            ):
                figure, rival = it.at(d, verdict), base.at(d, verdict)
                rows.append(Row(f"gate_{measure}{way}{suffix}", figure, "of worlds", rival, "before"))
            if way != "_alone":
                rows.append(Row(f"gate_draw_0pt{way}{suffix}", it.at(0.0, "draw"), "of worlds"))
            rows.append(Row(f"gate_gain{way}{suffix}", it.gain, "points a run", base.gain, "before"))
    return rows


def main() -> None:
    """Run every world, print the table, write the picture and the rows of benchmarks/results/truth.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operating_curve", description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=300, help="of each true difference")
    parser.add_argument("--vary", action="store_true", help="only: other margins and bounds")
    given = parser.parse_args()
    if given.vary:
        print(vary(given.worlds))
        return
    rules: dict[str, Rule] = {
        "before": before,
        "ours": ours(PARAMS),
        "ours, nobody there": ours(PARAMS, leaning=True),
        "ours, draws reviewed": ours(PARAMS, REVIEWED),
    }
    curves = {
        (name, mix, texts): curve(rule, MIXES[mix], texts, given.worlds)
        for mix in MIXES
        for texts in TEXTS
        for name, rule in rules.items()
    }
    print(table(curves), end="\n\n")
    write_bytes(RESULTS / "operating_curve.png", picture(curves))
    rows = rows_of(curves)
    report("operating_curve", rows, worlds=given.worlds, reviewed=REVIEWED, differing=DIFFERING, **PARAMS)


if __name__ == "__main__":
    errors.run(main)
