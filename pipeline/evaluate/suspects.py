"""Which training labels are probably wrong: found by models that did not see them, for people to review.

Confident learning (Northcutt et al. 2021, arXiv 1911.00068, section 3.1): a text's label is suspect when another
label is more probable for it, and at least as probable as it is, on average, for the texts that carry it. The
probabilities come from the wide path alone, cross-validated: it takes seconds, and no text is judged by a model that
learned from it or from a near-duplicate of it. Nothing is dropped from training because of it: so cheap a model errs
itself, which is why the order counts more than the number.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.evaluate.flips import excerpt
from pipeline.files import read_csv
from pipeline.hashing import content_hash, fold_of
from pipeline.labels import SENTIMENTS
from pipeline.layout import CHUNK_COLUMNS, labeled_path
from pipeline.learn import duplicates
from pipeline.learn.examples import Example, label_array, sample_weights
from pipeline.learn.tokenised import bag_matrix
from pipeline.learn.wide import Wide
from pipeline.model.confidence import softmax
from pipeline.text import join_post

COLUMNS = (
    "row",  # of data/prepared/train.csv, the first is 0
    "source",
    "board_id",  # of a post; empty for base texts and corrections
    "post_id",
    "label",
    "label_probability",
    "suggested",
    "suggested_probability",
    "excerpt",
)


def chosen(examples: Sequence[Example], limit: int, chunks: Sequence[str]) -> list[int]:
    """The rows that are checked, in order: at most `limit`, so that a full window costs no more than a first chunk.

    `chunks` are their numbers, oldest posts first. The newest comes first, then corrections, older chunks from the
    newest on, and general text.
    """
    age = {f"chunk-{number}": age for age, number in enumerate(reversed(chunks))}

    def rank(i: int) -> tuple[int, int, str]:
        source = examples[i].source
        place = 1 if source.startswith("feedback-") else 3 if source not in age else 2 if age[source] else 0
        return place, age.get(source, 0), content_hash(examples[i].text)

    return sorted(sorted(range(len(examples)), key=rank)[:limit])


def folds_of(texts: Sequence[str], folds: int) -> np.ndarray:
    """The fold of each text, shape (n,): by hash, near-duplicates together."""
    groups = duplicates.groups(texts)
    least: dict[int, str] = {}
    for group, text in zip(groups.tolist(), texts, strict=True):
        least[group] = min(text, least.get(group, text))
    return np.array([fold_of(least[group], folds) for group in groups.tolist()], dtype=np.int64)


def out_of_sample(
    examples: Sequence[Example],
    tokenised: Sequence[Sequence[str]],
    *,
    buckets: int,
    c: float,
    trust: float,
    folds: int,
) -> np.ndarray | None:
    """Each text's probabilities, shape (n, 3), by a wide path that was fitted without its fold.

    None when that can't be done: some fold would leave a mood without an example. `buckets`, `c` and
    `trust` are the model's `wide_buckets`, `wide_c` and `wide_trust`.
    """
    texts, labels = [example.text for example in examples], label_array(examples)
    fold = folds_of(texts, folds)
    parts = [(fold != k, fold == k) for k in range(folds) if (fold == k).any()]
    if len(parts) < 2 or any(len(set(labels[learned].tolist())) < 3 for learned, _ in parts):
        return None
    bags = bag_matrix(texts, tokenised, buckets)
    logits = np.empty((len(texts), 3))
    for learned, left_out in parts:
        weights = sample_weights([examples[i] for i in np.flatnonzero(learned).tolist()])
        wide = Wide.fit(bags[learned], labels[learned], weights, c=c, trust=trust)
        logits[left_out] = wide.logits(bags[left_out])
    return softmax(logits)


def find(labels: np.ndarray, probabilities: np.ndarray) -> list[tuple[int, int]]:
    """Suspect rows and the label that each should rather carry, the most suspicious first.

    `probabilities` are out-of-sample, shape (n, 3). The order is by the label's probability less the suggested
    one's ("normalized margin" of the paper), then by row.
    """
    thresholds = np.array([probabilities[labels == k, k].mean() if (labels == k).any() else np.inf for k in range(3)])
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    suggested = confident.argmax(axis=1)
    every = np.arange(len(labels))
    margin = probabilities[every, labels] - probabilities[every, suggested]
    flagged = np.flatnonzero((confident.max(axis=1) >= 0) & (suggested != labels) & (margin < 0))
    return [(int(i), int(suggested[i])) for i in flagged[np.lexsort((flagged, margin[flagged]))]]


def suspect_rows(examples: Sequence[Example], rows: Sequence[int], probabilities: np.ndarray) -> list[dict[str, Any]]:
    """The rows of suspects.csv. `rows` are those of `examples` that the probabilities are of, shape (rows, 3).

    Reads the labelled chunks for the posts' ids. Raises DataFileError.
    """
    found = find(label_array([examples[i] for i in rows]), probabilities)
    flagged = [(examples[rows[at]], at, suggested) for at, suggested in found]
    ids = _post_ids({example.source for example, _, _ in flagged if example.source.startswith("chunk-")})
    listed = []
    for example, at, suggested in flagged:
        board_id, post_id = ids.get((example.source, example.text), ("", ""))
        listed.append(
            {
                "row": rows[at],
                "source": example.source,
                "board_id": board_id,
                "post_id": post_id,
                "label": SENTIMENTS[example.label],
                "label_probability": round(float(probabilities[at, example.label]), 6),
                "suggested": SENTIMENTS[suggested],
                "suggested_probability": round(float(probabilities[at, suggested]), 6),
                "excerpt": excerpt(example.text),
            }
        )
    return listed


def _post_ids(sources: set[str]) -> dict[tuple[str, str], tuple[str, str]]:
    """Board and post id by source and text; of posts with the same text the last, as in the training mix."""
    return {
        (source, join_post(row["title"], row["body"])): (row["board_id"], row["post_id"])
        for source in sorted(sources)
        for row in read_csv(labeled_path(source.removeprefix("chunk-")), CHUNK_COLUMNS)
    }
