"""Job flips: has the candidate learned something about a job's name, whatever a text says?

Texts that name one job are judged with each job's name in its place, by champion and candidate. A burst of lies about
one job leaves the figures on gold as they were, but here it shows: 40 lies among 100 corrections changed the answer to
42 % of the texts with that name, to 8 % with the median one (measured). Counterfactual token fairness: Garg et al.
2019, arXiv 1809.10610.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.boards import JOBS, Job, jobs_named
from pipeline.evaluate.figures import NAMES
from pipeline.hashing import position

COLUMNS = ("job", "name", "texts", "flipped", "share", *(f"to_{label}" for label in NAMES))
MOST = 40  # texts, drawn by hash: the names of all jobs make 3,200 of them
LEAST = 20  # texts under which shares are chance

Predict = Callable[[Sequence[str]], np.ndarray]  # texts -> labels, int64 (texts,)


def probes(texts: Sequence[str]) -> list[str]:
    """Texts that name just one job, at most 40; none when there are fewer than 20."""
    found = sorted(
        {text for text in texts if len({job.name for _, _, job in jobs_named(text)}) == 1},
        key=lambda text: position(text, "job flips"),
    )
    return found[:MOST] if len(found) >= LEAST else []


def renamed(text: str, name: str) -> str:
    """The text with this name in place of each job's name that it holds."""
    parts, end = [], 0
    for start, stop, _ in jobs_named(text):
        parts += [text[end:start], name]
        end = stop
    return "".join([*parts, text[end:]])


def job_flips(texts: Sequence[str], champion: Predict, candidate: Predict) -> list[dict[str, Any]]:
    """A row for each job, the most flips first: to how many texts with its name the answer changed, and to what.

    Of a job's names (다크나이트, 닼나) the one with the most flips counts. `texts` are `probes`; none make no rows.
    """
    if not texts:
        return []
    names = [(job, name) for job in JOBS for name in names_of(job)]
    every = [renamed(text, name) for _, name in names for text in texts]
    before, after = (predict(every).reshape(len(names), len(texts)) for predict in (champion, candidate))
    rows: dict[str, dict[str, Any]] = {}
    for (job, name), old, new in zip(names, before, after, strict=True):
        changed = old != new
        row = {
            "job": job.name,
            "name": name,
            "texts": len(texts),
            "flipped": int(changed.sum()),
            "share": round(float(changed.mean()), 6),
            **{f"to_{label}": int((changed & (new == k)).sum()) for k, label in enumerate(NAMES)},
        }
        if job.name not in rows or row["flipped"] > rows[job.name]["flipped"]:
            rows[job.name] = row
    return sorted(rows.values(), key=lambda row: (-row["flipped"], row["job"]))


def names_of(job: Job) -> list[str]:
    """What players call a job: its name and nicknames, without those that only add spaces or brackets."""
    plain = [name for name in dict.fromkeys((job.name, *job.categories, *job.aliases)) if not re.search(r"[\s(]", name)]
    return plain or [job.name]
