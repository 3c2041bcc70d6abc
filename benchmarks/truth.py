"""Truth: are the shown shares of moods those that the posts have, and does the interval hold them?

Two streams whose moods are known:

- a test world of 3,000 posts in five job groups over six weeks. Their mixes of moods differ and drift. An LLM has read
  the first four weeks and a model the last two, with errors that we chose: both see 부정 where there is none. In a
  second world the errors differ by job group as well;
- movie reviews in three moods, in the order of their dates, put together so that the mix drifts. A model of ours, which
  was trained on balanced moods, reads them.

A person judges 0, 50, 100 or 300 posts drawn at random. What is shown without and with correction, by other ways of
quantification, and how often the 90 % interval holds the true share of the posts:

    make bench BENCH=truth
    make bench BENCH="truth --vary"    # how much other job groups' audited posts should count
"""

import argparse
import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.incremental import released
from benchmarks.support import quantifiers, texts
from benchmarks.support.harness import RESULTS, Row, earlier, report
from benchmarks.support.mood_world import GROUPS, MODEL, POSTS, Stream, world
from pipeline import errors
from pipeline.files import write_bytes
from pipeline.learn.examples import Example, label_array
from pipeline.learn.params import TrainParams
from pipeline.params import read_params
from pipeline.serve.shares import LEVEL, STRENGTH, Audits, Said, Shares, estimate, share_error

AUDITED = (50, 100, 300)
GATE = ("gate_false_release_3pt", "gate_false_reject_0pt")  # of benchmarks/operating_curve.py, 160 gold texts
COUNTED, OURS, SOFT, BOOTSTRAP = "classify and count", "ours, of answers", "ours, of probabilities", "PACC, bootstrap"
WAYS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    COUNTED: quantifiers.classify_and_count,
    "probabilities summed (PCC)": quantifiers.probabilistic_count,
    "ACC": quantifiers.adjusted_count,
    "PACC": quantifiers.probabilistic_adjusted_count,
    "SLD": quantifiers.expectation_maximisation,
    "audited posts alone": quantifiers.audited_alone,
}
SAME, DIFFER = "same errors", "errors differ by group"
KINDS = {"all": "", "group": "_group", "group's week": "_week"}  # of sets, and what a measure's name ends in
RESAMPLES = 200
STRENGTHS = (5.0, 10.0, STRENGTH, 50.0, 1e9)

GENERAL = 4000  # movie reviews that the model learns from
BLOCK, BLOCKS, KEPT = 1000, 24, 6  # posts a block; blocks; newest blocks whose audited posts are used
WAVE = ((0.10, 0.75, 0.15), (0.45, 0.45, 0.10))  # the mixes between which the movies' stream goes


@dataclass
class Found:
    """What one way made of many sets: share errors and, where it has intervals, whether they held and their width."""

    errors: list[float]
    held: list[bool]
    widths: list[float]

    def __init__(self) -> None:
        self.errors, self.held, self.widths = [], [], []

    def add(self, shares: Sequence[float] | np.ndarray, true: np.ndarray) -> None:
        """One more set."""
        self.errors.append(share_error(shares, true))

    def add_interval(
        self, low: Sequence[float] | np.ndarray, high: Sequence[float] | np.ndarray, true: np.ndarray
    ) -> None:
        """One more interval of each mood."""
        self.held += [bool(a <= share <= b) for a, share, b in zip(low, true, high, strict=True)]
        self.widths += [b - a for a, b in zip(low, high, strict=True)]

    def add_interval_of(self, shares: Shares, true: np.ndarray) -> None:
        """One more estimate of ours, where it has an interval."""
        if shares.low is not None and shares.high is not None:
            self.add_interval(shares.low, shares.high, true)

    @property
    def error(self) -> float:
        """The mean share error."""
        return float(np.mean(self.errors))

    @property
    def coverage(self) -> float:
        """The share of intervals that hold the true share; 0 where there is none."""
        return float(np.mean(self.held)) if self.held else 0.0


Table = dict[tuple[str, str, int, str], Found]  # world, kind of set, audited posts, way


def ours(
    stream: Stream,
    members: np.ndarray,
    drawn: np.ndarray,
    audits: Audits,
    said: np.ndarray,
    **more: Any,
) -> Shares:
    """Our estimate for the members; `said` are answers (a 1 and two 0) or probabilities, shape (n, 3)."""
    parts = []
    for number, judge in enumerate(stream.names):
        its = members & (stream.judges == number)
        inside = its & drawn
        parts.append(Said(judge, said[its & ~drawn].sum(axis=0), table(stream.moods[inside], said[inside])))
    return estimate(parts, audits, **more)


def table(moods: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Sums of what was said by mood, shape (3, 3)."""
    return np.array([said[moods == mood].sum(axis=0) for mood in range(3)])


def audits_of(stream: Stream, drawn: np.ndarray, said: np.ndarray) -> Audits:
    """The audited posts of every judge and group."""
    return Audits.of(
        (stream.names[stream.judges[i]], str(stream.groups[i]), int(stream.moods[i]), said[i])
        for i in np.flatnonzero(drawn)
    )


def other_way(
    way: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    stream: Stream,
    members: np.ndarray,
    audited: np.ndarray,
) -> np.ndarray:
    """A published way for the members: each judge's posts with all of its audited posts, which are indices."""
    shares = np.zeros(3)
    if way is quantifiers.audited_alone:
        return way(stream.said[:0], stream.said[:0], stream.moods[audited[members[audited]]])
    for number in range(len(stream.names)):
        its = members & (stream.judges == number)
        if its.any():
            known = audited[stream.judges[audited] == number]
            shares += way(stream.said[its], stream.said[known], stream.moods[known]) * its.sum() / members.sum()
    return shares


def bootstrap(stream: Stream, members: np.ndarray, audited: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The ends of PACC's percentile interval, posts and audited posts drawn anew 200 times."""
    rng = np.random.default_rng(seed)
    posts = np.flatnonzero(members)
    values = []
    for _ in range(RESAMPLES):
        again = rng.choice(posts, len(posts))
        shares = np.zeros(3)
        known = rng.choice(audited, len(audited))
        for number in range(len(stream.names)):
            its, those = again[stream.judges[again] == number], known[stream.judges[known] == number]
            found = quantifiers.probabilistic_adjusted_count(stream.said[its], stream.said[those], stream.moods[those])
            shares += found * len(its) / len(again)
        values.append(shares)
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def run_worlds(worlds: int) -> Table:
    """Every way on every set of the two worlds, by number of audited posts."""
    found: Table = defaultdict(Found)
    for name, differ in ((SAME, False), (DIFFER, True)):
        for seed in range(worlds):
            stream = world(seed, differ)
            order = np.random.default_rng(seed + 10_000).permutation(POSTS)
            hard = quantifiers.one_hot(stream.said)
            for audited in AUDITED:
                drawn = np.zeros(POSTS, dtype=bool)
                drawn[order[:audited]] = True
                of_answers, of_sums = audits_of(stream, drawn, hard), audits_of(stream, drawn, stream.said)
                wide: dict[str, Shares | None] = {OURS: None, SOFT: None}
                for kind, group, members in stream.slices():
                    true = stream.true(members)
                    for way, function in WAYS.items():
                        shares = other_way(function, stream, members, order[:audited])
                        found[name, kind, audited, way].add(shares, true)
                    for way, audits, said in ((OURS, of_answers, hard), (SOFT, of_sums, stream.said)):
                        ours_here = ours(stream, members, drawn, audits, said, group=group, wider=wide[way])
                        wide[way] = wide[way] or ours_here
                        place = found[name, kind, audited, way]
                        place.add(ours_here.shares, true)
                        place.add_interval_of(ours_here, true)
                        if kind == "group" and way == OURS:
                            by_name = found[name, str(group), audited, OURS]
                            by_name.add(ours_here.shares, true)
                            by_name.add_interval_of(ours_here, true)
                            found[name, str(group), audited, COUNTED].add(ours_here.raw, true)
                    if kind == "all":
                        low, high = bootstrap(stream, members, order[:audited], seed)
                        place = found[name, kind, audited, BOOTSTRAP]
                        place.add(other_way(WAYS["PACC"], stream, members, order[:audited]), true)
                        place.add_interval(low, high, true)
        print(f"{name}: {worlds} worlds", flush=True)
    return found


def vary(worlds: int) -> str:
    """How much audited posts of other job groups should count: share error and coverage of the job groups' shares."""
    lines = ["| other groups count like | errors | audited | share error | coverage |", "|---|---|---:|---:|---:|"]
    for differ in (False, True):
        for audited in AUDITED:
            places = {strength: Found() for strength in STRENGTHS}
            for seed in range(worlds):
                stream = world(seed, differ)
                drawn = np.random.default_rng(seed + 10_000).permutation(POSTS) < audited
                hard = quantifiers.one_hot(stream.said)
                audits = audits_of(stream, drawn, hard)
                for kind, group, members in stream.slices():
                    for strength, place in places.items() if kind == "group" else ():
                        it = ours(stream, members, drawn, audits, hard, group=group, strength=strength)
                        place.add(it.shares, stream.true(members))
                        place.add_interval_of(it, stream.true(members))
            for strength, place in places.items():
                name = "all there are" if strength > 1e6 else f"{strength:.0f} of each mood"
                errors = "differ" if differ else "same"
                lines.append(f"| {name} | {errors} | {audited} | {place.error:.4f} | {place.coverage:.3f} |")
    return "\n".join(lines)


@dataclass(frozen=True)
class Movies:
    """What came of the movies' stream: by number of audited posts and way, and 부정 block by block for the picture."""

    found: dict[tuple[int, str], Found]
    negative: list[tuple[float, float, Shares]]  # true, as counted, ours, with the most audited posts


def run_movies(path: Path) -> Movies:
    """A model reads blocks of movie reviews whose mix drifts; a few posts of each block are audited."""
    every = texts.nsmc_stream(path)
    rng = np.random.default_rng(texts.SPLIT_SEED)
    first = every[: 6 * GENERAL]
    learn = [first[i] for mood in range(3) for i in _some(rng, first, mood, GENERAL // 3)]
    model = texts.classifier(released(learn, read_params("train", TrainParams), None)[0])
    later = every[6 * GENERAL :]
    size = len(later) // BLOCKS
    blocks = []
    for number in range(BLOCKS):
        window = later[number * size : (number + 1) * size]
        part = (1 - np.cos(2 * np.pi * number / BLOCKS)) / 2  # from the first mix to the second and back
        mix = (1 - part) * np.array(WAVE[0]) + part * np.array(WAVE[1])
        picked = [i for mood in range(3) for i in _some(rng, window, mood, round(BLOCK * mix[mood]))]
        blocks.append([window[i] for i in picked])
    moods = [label_array(block) for block in blocks]
    said = [model.probabilities([example.text for example in block]) for block in blocks]
    found: dict[tuple[int, str], Found] = defaultdict(Found)
    negative = []
    orders = [np.random.default_rng(number).permutation(len(block)) for number, block in enumerate(blocks)]
    for audited in AUDITED:
        drawn = [order < round(audited / KEPT) for order in orders]
        for number in range(KEPT - 1, BLOCKS):
            newest = range(number - KEPT + 1, number + 1)
            true = np.bincount(moods[number], minlength=3) / len(moods[number])
            known = np.concatenate([said[i][drawn[i]] for i in newest])
            known_moods = np.concatenate([moods[i][drawn[i]] for i in newest])
            for way, function in WAYS.items():
                alone = way == "audited posts alone"
                use = (known[:0], moods[number][drawn[number]]) if alone else (known, known_moods)
                found[audited, way].add(function(said[number], *use), true)
            for way, change in ((OURS, quantifiers.one_hot), (SOFT, np.asarray)):
                here, inside = change(said[number]), drawn[number]
                audits = Audits({(MODEL, ""): table(known_moods, change(known))})
                part_said = Said(MODEL, here[~inside].sum(axis=0), table(moods[number][inside], here[inside]))
                it = estimate([part_said], audits)
                found[audited, way].add(it.shares, true)
                found[audited, way].add_interval_of(it, true)
                if audited == AUDITED[-1] and way == OURS:
                    negative.append((float(true[0]), it.raw[0], it))
    return Movies(dict(found), negative)


def _some(rng: np.random.Generator, examples: Sequence[Example], mood: int, count: int) -> list[int]:
    """Places of `count` examples of that mood."""
    places = [i for i, example in enumerate(examples) if example.label == mood]
    return sorted(rng.choice(places, count, replace=False).tolist())


def rows_of(found: Table, movies: Movies | None) -> list[Row]:
    """The measures: of the world with the same errors in all groups, unless their name says otherwise."""
    error, share = "mean absolute, per mood", "of intervals"
    rows = []
    for kind, suffix in KINDS.items():
        places = {n: {way: found[SAME, kind, n, way] for way in (*WAYS, OURS, BOOTSTRAP)} for n in AUDITED}
        rows.append(Row(f"share_error_raw{suffix}", places[100][COUNTED].error, error))
        for n, by_way in places.items():
            measure = f"share_error_corrected{suffix}_{n}"
            rows.append(Row(measure, by_way[OURS].error, error, by_way["PACC"].error, "PACC"))
        for n, by_way in places.items():
            rival = (by_way[BOOTSTRAP].coverage, BOOTSTRAP) if kind == "all" else (None, None)
            rows.append(Row(f"interval_coverage_90{suffix}_{n}", by_way[OURS].coverage, share, *rival))
    for name, suffix in ((SAME, ""), (DIFFER, "_differ")):
        held = [one for kind in KINDS for n in AUDITED for one in found[name, kind, n, OURS].held]
        rows.append(Row(f"interval_coverage_90{suffix}", float(np.mean(held)), f"{share}, of all sets"))
    for n in (100, 300):
        pacc, place = found[DIFFER, "group", n, "PACC"], found[DIFFER, "group", n, OURS]
        rows.append(Row(f"share_error_corrected_differ_group_{n}", place.error, error, pacc.error, "PACC"))
    if movies is not None:
        rows.append(Row("movies_share_error_raw", movies.found[100, COUNTED].error, error))
        for n in AUDITED:
            pacc, place = movies.found[n, "PACC"], movies.found[n, OURS]
            rows.append(Row(f"movies_share_error_corrected_{n}", place.error, error, pacc.error, "PACC"))
            rows.append(Row(f"movies_interval_coverage_90_{n}", place.coverage, share))
    return rows


def by_group(found: Table) -> str:
    """The job groups of the world with the same errors, as a Markdown table: what is shown and what is true."""
    lines = ["| job group | counted | ours, 100 audited | ours, 300 audited | coverage, 100 | coverage, 300 |"]
    lines.append("|---|" + "---:|" * 5)
    for group in GROUPS:
        places = [found[SAME, group, n, OURS] for n in (100, 300)]
        errors = [found[SAME, group, 100, COUNTED].error, *(place.error for place in places)]
        cells = [f"{error:.3f}" for error in errors] + [f"{place.coverage:.2f}" for place in places]
        lines.append(f"| {group} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def comparison(found: Table, movies: Movies | None) -> str:
    """Every way's share error as a Markdown table."""
    ways = (*WAYS, OURS, SOFT)
    places = [
        (f"{name}, {kind}, {n} audited", {way: found[name, kind, n, way] for way in ways})
        for name in (SAME, DIFFER)
        for kind in KINDS
        for n in (100, 300)
    ]
    if movies is not None:
        places += [(f"movies, a block, {n} audited", {way: movies.found[n, way] for way in ways}) for n in (100, 300)]
    lines = ["| | " + " | ".join(ways) + " |", "|---|" + "---:|" * len(ways)]
    for place, by_way in places:
        best = min(by_way[way].error for way in ways)
        cells = [f"{by_way[way].error:.3f}" for way in ways]
        marked = [f"**{c}**" if by_way[w].error < best + 0.0005 else c for c, w in zip(cells, ways, strict=True)]
        lines.append(f"| {place} | " + " | ".join(marked) + " |")
    return "\n".join(lines)


def picture(found: Table, movies: Movies | None) -> bytes:
    """Share error and coverage by audited posts, and the movies' 부정 block by block."""
    from matplotlib.figure import Figure  # not pyplot: no window system

    figure = Figure(figsize=(12, 3.8), layout="constrained")
    errors, held, blocks = figure.subplots(1, 3)
    colours = {"all": "#0067a8", "group": "#b84a00", "group's week": "#4a7a2c"}
    for kind, colour in colours.items():
        raw = found[SAME, kind, 100, COUNTED].error
        by_ours = [found[SAME, kind, n, OURS].error for n in AUDITED]
        errors.plot([0, *AUDITED], [raw, *by_ours], "o-", color=colour, label=f"{kind}: ours")
        pacc = [found[SAME, kind, n, "PACC"].error for n in AUDITED]
        errors.plot([0, *AUDITED], [raw, *pacc], ".:", color=colour, label=f"{kind}: PACC")
        coverage = [found[SAME, kind, n, OURS].coverage for n in AUDITED]
        held.plot(AUDITED, coverage, "o-", color=colour, label=kind)
        differ = [found[DIFFER, kind, n, OURS].coverage for n in AUDITED]
        held.plot(AUDITED, differ, ".:", color=colour, label=f"{kind}, errors differ")
    errors.set(xlabel="audited posts of 3,000", ylabel="share error", ylim=(0, None), title="shown and true shares")
    errors.legend(frameon=False, fontsize=7)
    held.axhline(LEVEL, color="0.6", linewidth=1)
    held.set(xlabel="audited posts of 3,000", ylim=(0.5, 1), title="90 % intervals that hold the truth")
    held.legend(frameon=False, fontsize=7, loc="lower right")
    if movies is not None:
        x = np.arange(len(movies.negative))
        blocks.plot(x, [true for true, _, _ in movies.negative], color="black", label="true")
        blocks.plot(x, [raw for _, raw, _ in movies.negative], ":", color="#b84a00", label="counted")
        blocks.plot(x, [it.shares[0] for *_, it in movies.negative], color="#0067a8", label="ours, 300 audited")
        low, high = ([(it.low if end == 0 else it.high) for *_, it in movies.negative] for end in (0, 1))
        blocks.fill_between(
            x, [end[0] for end in low if end], [end[0] for end in high if end], color="#0067a8", alpha=0.2
        )
        blocks.set(xlabel="block of 1,000 movie reviews", title="share of the negative", ylim=(0, None))
        blocks.legend(frameon=False, fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def main() -> None:
    """Run both streams, print the tables, write benchmarks/results/truth.json and truth.png."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truth", description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=100, help="test worlds of each kind")
    parser.add_argument("--movies", type=Path, default=texts.SHARED / "nsmc_ratings.tsv.gz", help="dated reviews")
    parser.add_argument("--vary", action="store_true", help="only: how much other groups' audited posts should count")
    given = parser.parse_args()
    if given.vary:
        print(vary(given.worlds))
        return
    found = run_worlds(given.worlds)
    movies = run_movies(given.movies) if given.movies.exists() else None
    if movies is None:
        print(f"{given.movies} is not there: the test worlds alone")
    print(comparison(found, movies), by_group(found), sep="\n\n", end="\n\n")
    write_bytes(RESULTS / "truth.png", picture(found, movies))
    rows = rows_of(found, movies)
    gate = [row for row in earlier("operating_curve") if row.measure in GATE]
    report("truth", [*rows, *gate], worlds=given.worlds, posts=POSTS, blocks=BLOCKS, level=LEVEL)


if __name__ == "__main__":
    errors.run(main)
