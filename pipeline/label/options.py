"""Section `label` of params.yaml, read once and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.label.records import LabelError


@dataclass(frozen=True, slots=True)
class Options:
    """The section's values; what each means stands beside it in params.yaml."""

    prompt: str
    answer_mode: str
    samples: int
    max_chars: int
    min_coverage: float
    concurrency: int
    reload: bool
    timeout_s: float
    max_attempts: int
    gold_sample: int
    min_kappa: float
    max_kappa_drop: float
    repeat_share: float
    max_canaries: float

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Options":
        """From the section's values. Raises LabelError naming what is missing or odd."""
        try:
            return cls._of(params)
        except KeyError as error:
            raise LabelError(f"params.yaml, section label: {error.args[0]} is missing") from None
        except (TypeError, ValueError) as error:
            raise LabelError(f"params.yaml, section label: {error}") from None

    @classmethod
    def _of(cls, params: Mapping[str, Any]) -> "Options":
        return cls(
            prompt=str(params["prompt"]),
            answer_mode=str(params["answer_mode"]),
            samples=int(params["samples"]),
            max_chars=int(params["max_chars"]),
            min_coverage=float(params["min_coverage"]),
            concurrency=int(params["concurrency"]),
            reload=bool(params["reload"]),
            timeout_s=float(params["timeout_s"]),
            max_attempts=max(1, int(params["max_attempts"])),
            gold_sample=int(params["gold_sample"]),
            min_kappa=float(params["min_kappa"]),
            max_kappa_drop=float(params["max_kappa_drop"]),
            repeat_share=float(params["repeat_share"]),
            max_canaries=float(params["max_canaries"]),
        )
