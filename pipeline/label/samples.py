"""How sure an LLM is, where its server gives no probabilities: the same question several times at a temperature.

The label is what most samples say, the confidence their share of all that were asked (self-consistency, Wang et
al. 2022, arXiv 2203.11171, whose temperature this is). A tie is no label: nobody has said which it is.
"""

import zlib
from collections import Counter
from collections.abc import Sequence

from pipeline.labels import SENTIMENTS
from pipeline.live.records import Answer

TEMPERATURE = 0.7


def seed_of(purpose: str, sample: int) -> int:
    """The seed of a sample: fixed, and another one when the same text is asked again to see whether it agrees."""
    return (zlib.crc32(purpose.encode()) + sample) % 2**31 if purpose else sample


def majority(answers: Sequence[Answer]) -> Answer:
    """One answer from the samples of one text. No label when most samples brought none, or at a tie."""
    votes = Counter(answer.label for answer in answers if answer.label is not None)
    if 2 * votes.total() <= len(answers):
        without = [answer for answer in answers if answer.label is None]
        why = next((answer for answer in without if answer.note), Answer(None, note="no sample was answered"))
        note = f"{len(without)} of {len(answers)} samples: {why.note}"
        return Answer(None, note=note, kind=why.kind, lasting=all(answer.lasting for answer in without))
    (label, most), *others = votes.most_common()
    if others and others[0][1] == most:
        said = ", ".join(f"{votes[one]} × {SENTIMENTS[one]}" for one in sorted(votes))
        return Answer(None, note=f"the samples disagree ({said})", kind="nonsense", lasting=True)
    return Answer(label=label, confidence=most / len(answers))
