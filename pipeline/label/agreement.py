"""Two lists of labels compared: agreement, Cohen's κ, macro-F1; by confidence; and where confidence is enough."""

from collections.abc import Sequence
from dataclasses import dataclass

BANDS = (0.0, 0.5, 0.7, 0.9)  # lower ends of the confidence bands; the last reaches 1
PRECISION = 0.9
CUT_OFF_MIN = 20  # texts above a cut-off, or its precision is luck

_LABELS = [0, 1, 2]


@dataclass(frozen=True, slots=True)
class Agreement:
    """The LLM against the gold over the texts that the LLM labelled. `matrix[gold][llm]` counts texts."""

    agreement: float
    kappa: float
    macro_f1: float
    matrix: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, gold: Sequence[int], llm: Sequence[int]) -> "Agreement":
        """Agreement (accuracy), Cohen's kappa and macro-F1 of two equally long, non-empty lists of labels.

        κ is undefined when both sides gave one and the same label to everything; it counts 1 then.
        """
        # Here, not above: a second of import that labelling a chunk should not begin with.
        from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score

        matrix = confusion_matrix(gold, llm, labels=_LABELS)
        same = len({*gold, *llm}) == 1
        return cls(
            agreement=float(accuracy_score(gold, llm)),
            kappa=1.0 if same else float(cohen_kappa_score(gold, llm, labels=_LABELS)),
            macro_f1=float(f1_score(gold, llm, labels=_LABELS, average="macro", zero_division=0)),
            matrix=tuple(tuple(int(count) for count in row) for row in matrix),
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """One text: its gold label, what the LLM said, how sure it was (0 to 1)."""

    gold: int
    llm: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Band:
    """Texts whose confidence is at least `low` and under `high`. `kappa` None: too few texts or one label only."""

    low: float
    high: float
    texts: int
    agreement: float | None
    kappa: float | None


@dataclass(frozen=True, slots=True)
class CutOff:
    """From this confidence up, `share` of the texts are labelled with this precision."""

    confidence: float
    share: float
    precision: float


def bands(judged: Sequence[Judged]) -> list[Band]:
    """Agreement and κ in each band of `BANDS`."""
    found = []
    for low, high in zip(BANDS, (*BANDS[1:], 1.0), strict=True):
        inside = [item for item in judged if low <= item.confidence and (item.confidence < high or high == 1.0)]
        gold, llm = [item.gold for item in inside], [item.llm for item in inside]
        agreed = Agreement.of(gold, llm) if inside else None
        kappa = agreed.kappa if agreed and len(inside) >= 5 and len({*gold, *llm}) > 1 else None
        found.append(Band(low, high, len(inside), agreed.agreement if agreed else None, kappa))
    return found


def cut_off(judged: Sequence[Judged], precision: float = PRECISION) -> CutOff | None:
    """The lowest confidence from which on that share of the labels is right; None when no cut-off reaches it.

    Chosen and measured on the same texts, so a little too rosy.
    """
    ranked = sorted(judged, key=lambda item: -item.confidence)
    best, right = None, 0
    for count, item in enumerate(ranked, start=1):
        right += item.gold == item.llm
        if count < len(ranked) and ranked[count].confidence == item.confidence:
            continue  # texts of equal confidence go together
        if count >= min(CUT_OFF_MIN, len(ranked)) and right / count >= precision:
            best = CutOff(item.confidence, count / len(ranked), right / count)
    return best
