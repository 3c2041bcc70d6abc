"""Tables: what `benchmarks/results/*.json` say, written into the pages that quote them. `make fix` runs it.

    python -m benchmarks.tables            # write them
    python -m benchmarks.tables --check    # only say which are stale: `make lint`

A page asks for a table by `<!-- results NAME -->` and `<!-- end results -->` on lines of their own. NAME is a result's
(`loop`: its measures and what they were taken on), or one of the summaries below.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

from benchmarks.support.harness import RESULTS, ROOT, Row, number, rows_of, table
from benchmarks.support.markdown import PageError, names, refresh
from pipeline import errors

_CLASSIFIER = {
    "classifier": (
        ("test", "this classifier", "TF-IDF + logistic regression", "the replaced network"),
        {
            "steam_accuracy": "Steam reviews, two moods (accuracy)",
            "nsmc_accuracy": "movie reviews, two moods (accuracy)",
            "nsmc3_macro_f1": "movie reviews, three moods (macro-F1)",
        },
    ),
    "classifier_ko": (
        ("시험", "이 분류기", "TF-IDF + 로지스틱 회귀", "바꾸기 전의 신경망"),
        {
            "steam_accuracy": "스팀 리뷰, 두 분위기(정확도)",
            "nsmc_accuracy": "영화 리뷰, 두 분위기(정확도)",
            "nsmc3_macro_f1": "영화 리뷰, 세 분위기(macro-F1)",
        },
    ),
}
_CHOICES = ("next", "fixed", "bilstm_next", "bilstm_fixed", "train_cpu_seconds")


def result(name: str) -> dict[str, Any]:
    """What `benchmarks/results/{name}.json` holds. Raises PageError when there is no such result."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise PageError(f"'<!-- results {name} -->': there is no benchmarks/results/{name}.json")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def measures(name: str) -> str:
    """All rows of a result and what they were taken on."""
    document = result(name)
    return f"{table(rows_of(document))}\n\n{taken_on(document)}"


def taken_on(document: dict[str, Any]) -> str:
    """One line: the commit, the machine, and how it was run."""
    machine, about = document["machine"], document.get("about", {})
    cores = f"{machine['cores']} core{'s' if machine['cores'] > 1 else ''}"
    how = "".join(f"; {key.replace('_', ' ')} {plain(value)}" for key, value in about.items())
    return f"Taken at `{document['commit']}` on {cores}, {machine['memory']} GiB, Python {machine['python']}{how}."


def plain(value: Any) -> str:
    """A value of `about` as words."""
    if isinstance(value, dict):
        return f"({', '.join(f'{key} {plain(one)}' for key, one in value.items())})".replace("_", " ")
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def choices(name: str) -> str:
    """Policies of the warm start as rows, what was measured of each as columns."""
    document = result(name)
    rows = by_measure(document)
    policies = [measure.removesuffix("_next") for measure in rows if f"{measure.removesuffix('_next')}_fixed" in rows]
    policies = [policy for policy in policies if not policy.endswith("_bilstm")]
    lines = [
        "| policy | next chunk | fixed set | Bi-LSTM alone, next | Bi-LSTM alone, fixed | training, CPU s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for policy in policies:
        figures = [f"{rows[f'{policy}_{what}'].ours:.{1 if what.endswith('seconds') else 4}f}" for what in _CHOICES]
        lines.append(f"| `{policy}` | {' | '.join(figures)} |")
    return "\n".join([*lines, "", taken_on(document)])


def classifier(name: str) -> str:
    """What the classifier is worth beside others, from `quality.json`; `classifier_ko` says it in Korean."""
    rows = by_measure(result("quality"))
    heads, tests = _CLASSIFIER[name]
    lines = [f"| {' | '.join(heads)} |", "|---|---:|---:|---:|"]
    for measure, words in tests.items():
        ours, replaced = rows[measure], rows[f"{measure}_replaced_network"]
        lines.append(f"| {words} | {ours.ours:.3f} | {ours.baseline:.3f} | {replaced.ours:.3f} |")
    return "\n".join(lines)


def labeler(_: str) -> str:
    """What the embedded LLM is worth on the gold, from `label.json`."""
    rows = by_measure(result("label"))
    figures = [f"{rows[f'gold_{what}'].ours:.3f}" for what in ("accuracy", "macro_f1", "kappa")]
    pace = number(round(rows["embedded_posts_per_second"].ours, 1))
    return (
        "| labeler | accuracy | macro-F1 | Cohen's κ | posts/s on 2 cores |\n|---|---:|---:|---:|---:|\n"
        f"| the embedded LLM (Gemma 3 270M), calibrated | {' | '.join(figures)} | {pace} |"
    )


def by_measure(document: dict[str, Any]) -> dict[str, Row]:
    """A result's rows by their names."""
    return {row.measure: row for row in rows_of(document)}


SUMMARIES: dict[str, Callable[[str], str]] = {
    "incremental_choices": choices,
    "classifier": classifier,
    "classifier_ko": classifier,
    "labeler": labeler,
}


def make(name: str) -> str:
    """The table of that name."""
    return SUMMARIES.get(name, measures)(name)


def main() -> int:
    """Status 1 when a page is stale (with --check) or a result stands in none."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 when a page is stale")
    given = parser.parse_args()
    pages = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]
    shown = {name for page in pages for name in names(page.read_text(encoding="utf-8"), "results")}
    if missing := sorted({path.stem for path in RESULTS.glob("*.json")} - shown):
        raise PageError(f"no page shows {', '.join(missing)}: put '<!-- results {missing[0]} -->' where it belongs")
    return refresh(pages, "results", make, check=given.check)


if __name__ == "__main__":
    errors.run(main)
