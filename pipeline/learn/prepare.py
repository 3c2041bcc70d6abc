"""Prepare: labelled chunks + corrections + general text become train, validation and test sets.

The mix (the project's rule): every labelled post of the window, every correction (people outvote the LLM on the same
text and weigh more), and base text sampled 1:1 with the posts by seed. What is tested is decided by hash. A family of
near-duplicates never straddles a split: its oldest member draws for all. Nothing like a gold text is trained on.
What an older model has learned and is out of the window since, `evaluate` finds (`pipeline.learn.learned`).
`python -m pipeline.learn.prepare`.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import errors
from pipeline.files import DataFileError, read_rows, write_json
from pipeline.freeze.catalog import Catalog, read_catalog
from pipeline.hashing import position
from pipeline.labels import parse_label
from pipeline.layout import (
    ARCHIVED_FEEDBACK,
    BASE_COLUMNS,
    CHUNK_COLUMNS,
    LABELED_CHUNKS,
    PREPARED,
    archive_path,
    labeled_path,
)
from pipeline.learn import base, duplicates
from pipeline.learn.examples import SETS, Example, gold_examples, write_sets
from pipeline.learn.params import PrepareParams
from pipeline.params import read_params
from pipeline.text import join_post, normalise


def read_chunk(
    number: str, root: Path = Path(), *, min_confidence: float = 0.0, confidence_weight: bool = False
) -> list[Example]:
    """The labelled posts of a chunk; posts without a label are left out. Raises DataFileError.

    A label less sure than `min_confidence` weighs 0: `mix` learns nothing from it, but may test on it.
    `confidence_weight`: the others weigh what their confidence is. One without confidence counts as sure.
    """
    path = labeled_path(number, root)
    examples = []
    for line, row in read_rows(path, (*CHUNK_COLUMNS, "label")):
        if row["label"]:
            text = join_post(row["title"], row["body"])
            try:
                label, sure = parse_label(row["label"]), float(row.get("confidence") or 1.0)
            except ValueError as error:
                raise DataFileError(f"{path}, line {line}: {error}") from None
            weight = 0.0 if sure < min_confidence else sure if confidence_weight else 1.0
            examples.append(Example(text, label, weight, f"chunk-{number}", row["job_group"]))
    return examples


def by_time(numbers: Sequence[str], root: Path = Path()) -> list[str]:
    """The chunks in the order of their posts, oldest first: by the median time at which these were posted.

    Not by number: a backfill's chunks have high numbers and old posts. Raises DataFileError.
    """
    times = {}
    for number in numbers:
        posted = sorted(row["posted_at"] for _, row in read_rows(labeled_path(number, root), ("posted_at",)))
        times[number] = posted[len(posted) // 2] if posted else ""
    return sorted(numbers, key=lambda number: (times[number], int(number)))


def read_quality(number: str, root: Path = Path()) -> dict[str, Any]:
    """How good a chunk's labels are, from its provenance; empty where that says nothing. Raises DataFileError."""
    path = labeled_path(number, root).with_suffix(".json")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataFileError(f"{path} is not valid JSON ({error}): `dvc checkout` restores it") from None
    gold, repeats, canaries = ((found.get("quality") or {}).get(name) or {} for name in ("gold", "repeats", "canaries"))
    figures = {
        "chunk": number,
        "coverage": found.get("coverage"),
        "gold_accuracy": gold.get("accuracy"),
        "gold_kappa": gold.get("kappa"),
        "gold_macro_f1": gold.get("macro_f1"),
        "self_agreement": repeats.get("agreement"),
        "canaries_fallen": canaries.get("fallen"),
    }
    return {name: value for name, value in figures.items() if value is not None}


def read_archive(number: str, root: Path = Path()) -> list[Example]:
    """The corrections of an archive in order of arrival. Raises DataFileError."""
    path = archive_path(number, root)
    examples = []
    for line, row in read_rows(path, BASE_COLUMNS):  # what is learned; older archives lack a column
        try:
            examples.append(Example(normalise(row["text"]), parse_label(row["label"]), 1.0, f"feedback-{number}"))
        except ValueError as error:
            raise DataFileError(f"{path}, line {line}: {error}") from None
    return examples


def check_listed(catalog: Catalog, root: Path = Path()) -> None:
    """Raise DataFileError unless the directories hold exactly what the catalog lists.

    DVC would train on an empty directory without a word after `--allow-missing` (measured), and a file that
    nobody listed would slip into the next model.
    """
    for folder, pattern, paths in (
        (root / LABELED_CHUNKS, "*.csv", [labeled_path(number, root) for number in catalog.chunks]),
        (root / ARCHIVED_FEEDBACK, "*.csv", [archive_path(number, root) for number in catalog.archives]),
    ):
        present = set(folder.glob(pattern))
        if missing := sorted(set(paths) - present):
            raise DataFileError(
                f"{missing[0]} is listed in data/catalog.yaml but missing ({len(missing)} in all): `dvc pull`"
            )
        if surplus := sorted(present - set(paths)):
            raise DataFileError(
                f"{surplus[0]} is not listed in data/catalog.yaml ({len(surplus)} in all): move it away; "
                "`dvc checkout` restores what belongs there"
            )


def mix(
    posts: Sequence[Example],
    corrections: Sequence[Example],
    general: Sequence[Example],
    gold: Sequence[Example],
    *,
    newest: str,
    params: PrepareParams,
) -> dict[str, list[Example]]:
    """The sets of `SETS`, pure: the same rows and params give the same sets in the same order.

    Posts come oldest chunk first. `newest` is the source name of the newest one; its held-out part is `test_chunk`.
    """
    by_text: dict[str, Example] = {}
    for example in (*posts, *(replace(c, weight=params.feedback_weight) for c in settled(corrections))):
        before = by_text.get(example.text)  # a newer chunk replaces an older one, people replace both
        by_text[example.text] = replace(example, job_group=example.job_group or (before.job_group if before else ""))
    ours = list(by_text.values())

    def held_out(example: Example) -> bool:
        return position(example.text, "test") < params.test_share

    general = [e for e in {e.text: e for e in general}.values() if e.text not in by_text]
    test_base = [e for e in general if held_out(e)]
    sampled = sorted((e for e in general if not held_out(e)), key=lambda e: position(e.text, str(params.seed)))
    if posts:  # with no chunk yet, this is the base model: all of it
        sampled = sampled[: round(params.base_ratio * sum(e.weight > 0 for e in ours))]

    every = [*gold, *ours, *sampled, *test_base]
    families = dict(zip((e.text for e in every), duplicates.groups([e.text for e in every]).tolist(), strict=True))
    like_gold = {families[e.text] for e in gold}
    corrected = {families[e.text] for e in ours if _is_correction(e)} - like_gold
    # The oldest member draws for the whole family: general text was there first, then the older chunks.
    oldest: dict[int, Example] = {}
    drawn = {e.text for e in (*sampled, *test_base)}
    for example in (*(e for e in general if e.text in drawn), *ours):
        oldest.setdefault(families[example.text], example)
    kept_out = {family for family, example in oldest.items() if held_out(example)} - corrected

    # A family with a correction always trains: it is no test of the LLM's labels any more.
    tests = [replace(e, weight=1.0) for e in ours if families[e.text] in kept_out and held_out(e)]
    members: dict[int, list[Example]] = defaultdict(list)
    for example in (*ours, *sampled, *test_base):
        family = families[example.text]
        if example.weight > 0 and family not in like_gold and family not in kept_out:
            members[family].append(example)
    train: list[Example] = []
    validation: list[Example] = []
    for family, group in members.items():
        validates = position(min(e.text for e in group), "validation") < params.validation_share
        (validation if validates and family not in corrected else train).extend(group)
    return {
        "train": train,
        "validation": validation,
        "test_chunk": [e for e in tests if e.source == newest],
        "test_base": [e for e in test_base if families[e.text] in kept_out],
    }


def settled(corrections: Sequence[Example]) -> list[Example]:
    """One correction for each text: the label that most voices give it; of as many voices, the latest one's.

    `corrections` are in order of arrival. What is kept is the last one with that label.
    """
    voices: dict[str, list[Example]] = defaultdict(list)
    for example in corrections:
        voices[example.text].append(example)
    result = []
    for said in voices.values():
        last = {example.label: place for place, example in enumerate(said)}
        counts = Counter(example.label for example in said)
        result.append(said[last[max(counts, key=lambda label: (counts[label], last[label]))]])
    return result


def _is_correction(example: Example) -> bool:
    return example.source.startswith("feedback-")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read what the catalog lists, mix, write `data/prepared/`."""
    argparse.ArgumentParser(prog="python -m pipeline.learn.prepare", description=__doc__).parse_args(arguments)
    catalog, params = read_catalog(), read_params("prepare", PrepareParams)
    check_listed(catalog)
    general = [Example(text, label, 1.0, "base") for text, label in base.read_base()]
    numbers = by_time(catalog.chunks)
    chunks = [
        read_chunk(number, min_confidence=params.min_confidence, confidence_weight=params.confidence_weight)
        for number in numbers
    ]
    sets = mix(
        [example for chunk in chunks for example in chunk],
        [example for number in catalog.archives for example in read_archive(number)],
        general,
        gold_examples(),
        newest=f"chunk-{numbers[-1]}" if numbers else "",
        params=params,
    )
    write_sets(sets, PREPARED, chunks=numbers)
    # A DVC metric (see dvc.yaml): the label stages' own outputs are theirs alone, this one may be made again.
    write_json(PREPARED / "labels.json", read_quality(numbers[-1]) if numbers else {})
    print(", ".join(f"{name} {len(sets[name])}" for name in SETS))


if __name__ == "__main__":
    errors.run(main)
