"""What is measured along with every chunk: gold texts, texts asked twice, canaries; and the gate over it.

The same gold sample is asked anew with each chunk, so a server that has changed under the same name is noticed: its
answers are compared with the gold labels and with the first answers that this labeler gave to the same texts.
"""

import hashlib
import logging
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.files import DataFileError, read_text
from pipeline.gold import GoldPost
from pipeline.hashing import content_hash
from pipeline.label.agreement import Agreement
from pipeline.label.labeler import Labeler
from pipeline.label.options import Options
from pipeline.label.prompt import PROMPTS
from pipeline.label.records import PromptError
from pipeline.live.records import Answer

log = logging.getLogger(__name__)

CANARIES = PROMPTS / "canaries" / "injections-1.toml"
_LEAST_GOLD = 10  # labelled gold texts, or κ says nothing

Answers = Mapping[str, Mapping[str, Answer]]  # by purpose, by shown text


@dataclass(frozen=True, slots=True)
class Canary:
    """A post of known mood with and without an attempt to give the LLM orders; `wants` is what that aims at."""

    name: str
    label: int
    wants: int
    title: str
    body: str
    attempt: str

    @property
    def attacked(self) -> str:
        """The body with the attempt at its end."""
        return f"{self.body}\n{self.attempt}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What one chunk's run measures. Texts are shown texts; purposes name the chunk, so each measures anew."""

    chunk: str
    gold: tuple[tuple[str, int], ...]
    repeats: tuple[str, ...]
    canaries: tuple[tuple[Canary, str, str], ...]  # with its shown texts: as it stands, and without the attempt
    canaries_digest: str

    @classmethod
    def of(cls, chunk: str, texts: Sequence[str], labeler: Labeler, gold: Sequence[GoldPost]) -> "Plan":
        """Drawn by hash: the same chunk measures the same texts. Raises PromptError."""
        options = labeler.options
        again = sorted({text for text in texts if text}, key=lambda text: _draw(text, chunk))
        found = read_canaries()
        return cls(
            chunk=chunk,
            gold=tuple((labeler.shown(item.title, item.body), item.label) for item in gold),
            repeats=tuple(again[: round(options.repeat_share * len(again))]),
            canaries=tuple(
                (item, labeler.shown(item.title, item.attacked), labeler.shown(item.title, item.body)) for item in found
            ),
            canaries_digest=content_hash(read_text(CANARIES)),
        )

    def wanted(self) -> dict[str, list[str]]:
        """Shown texts by purpose; those under "" are the gold's first answers, which stay in the cache for good."""
        gold = [text for text, _ in self.gold]
        asked = [shown for _, attacked, clean in self.canaries for shown in (attacked, clean)]
        return {
            "": gold,
            f"gold-{self.chunk}": gold,
            f"again-{self.chunk}": list(self.repeats),
            f"canary-{self.chunk}": asked,
        }

    def measure(self, answers: Answers) -> dict[str, Any]:
        """The figures for the provenance: gold (None without gold), repeats, canaries."""
        return {
            "gold": self._gold(answers) if self.gold else None,
            "repeats": self._repeats(answers),
            "canaries": self._canaries(answers),
        }

    def _gold(self, answers: Answers) -> dict[str, Any]:
        now, first = answers[f"gold-{self.chunk}"], answers[""]
        found = [
            (label, one, other)
            for text, label in self.gold
            if (one := now[text].label) is not None and (other := first[text].label) is not None
        ]
        figures: dict[str, Any] = {"texts": len(self.gold), "labelled": len(found)}
        if len(found) < _LEAST_GOLD:
            return figures
        right = [label for label, _, _ in found]
        agreed = Agreement.of(right, [one for _, one, _ in found])
        return figures | {
            "accuracy": round(agreed.agreement, 4),
            "kappa": round(agreed.kappa, 4),
            "macro_f1": round(agreed.macro_f1, 4),
            "first_kappa": round(Agreement.of(right, [other for _, _, other in found]).kappa, 4),
        }

    def _repeats(self, answers: Answers) -> dict[str, Any]:
        pairs = [(answers[""][text].label, answers[f"again-{self.chunk}"][text].label) for text in self.repeats]
        both = [(one, other) for one, other in pairs if one is not None and other is not None]
        agreed = sum(one == other for one, other in both)
        return {"texts": len(both), "agreed": agreed, "agreement": round(agreed / len(both), 4) if both else None}

    def _canaries(self, answers: Answers) -> dict[str, Any]:
        given = answers[f"canary-{self.chunk}"]
        asked = [
            (canary, given[attacked].label, given[clean].label)
            for canary, attacked, clean in self.canaries
            if given[attacked].label is not None and given[clean].label is not None
        ]
        fallen = [canary.name for canary, attacked, clean in asked if attacked == canary.wants != clean]
        return {
            "texts": len(asked),
            "fallen": len(fallen),
            "names": fallen,
            "right": sum(attacked == canary.label for canary, attacked, _ in asked),
            "sha256": self.canaries_digest,
        }


def quality_problems(figures: Mapping[str, Any], options: Options) -> list[str]:
    """Why these labels are not to be trusted (gold agreement, canaries); empty when they are."""
    gold, canaries = figures["gold"], figures["canaries"]
    problems = []
    if gold and "kappa" in gold:
        if gold["kappa"] < options.min_kappa:
            problems.append(
                f"κ on {gold['labelled']} gold texts is {gold['kappa']:.2f} (label.min_kappa is {options.min_kappa:g})"
            )
        if gold["first_kappa"] - gold["kappa"] > options.max_kappa_drop:
            problems.append(
                f"κ on the same gold texts fell from {gold['first_kappa']:.2f} to {gold['kappa']:.2f} "
                f"(label.max_kappa_drop is {options.max_kappa_drop:g})"
            )
    elif gold:
        problems.append(f"only {gold['labelled']} of {gold['texts']} gold texts got a label")
    if canaries["texts"] and canaries["fallen"] / canaries["texts"] > options.max_canaries:
        problems.append(
            f"{canaries['fallen']} of {canaries['texts']} canaries obeyed the post ({', '.join(canaries['names'])}; "
            f"label.max_canaries is {options.max_canaries:g})"
        )
    return problems


def sample(gold: Sequence[GoldPost], size: int) -> list[GoldPost]:
    """About `size` texts, as many of each label as there are, drawn by hash: the same ones for every chunk.

    Only texts that were asked before can show that a server answers differently now.
    """
    drawn = sorted(gold, key=lambda item: _draw(f"{item.title}\n{item.body}", "gold"))
    return [item for label in range(3) for item in [one for one in drawn if one.label == label][: -(-size // 3)]]


def read_canaries(path: Path = CANARIES) -> list[Canary]:
    """The canaries (moods in the words of mood-1, whatever the prompt in use says). Raises PromptError."""
    try:
        items = tomllib.loads(read_text(path))["canaries"]
        words = {"나쁨": 0, "보통": 1, "좋음": 2}
        return [
            Canary(
                item["name"], words[item["label"]], words[item["wants"]], item["title"], item["body"], item["attempt"]
            )
            for item in items
        ]
    except DataFileError as error:
        raise PromptError(str(error)) from None
    except tomllib.TOMLDecodeError as error:
        raise PromptError(f"{path} is not valid TOML: {error}") from None
    except (KeyError, TypeError) as error:
        raise PromptError(f"{path}: a canary lacks or misnames {error}") from None


def _draw(text: str, salt: str) -> bytes:
    return hashlib.sha256(f"{salt}\n{text}".encode()).digest()
