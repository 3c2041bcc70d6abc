"""Section `label` of params.yaml, read once and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.label.records import LabelError
from pipeline.params import AtLeastOne, ParamsError, checked


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
    max_attempts: AtLeastOne
    gold_sample: int
    min_kappa: float
    max_kappa_drop: float
    repeat_share: float
    max_canaries: float

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Options":
        """From the section's values. Raises LabelError naming what is missing, unknown or odd."""
        try:
            return checked("label", cls, params)
        except ParamsError as error:
            raise LabelError(str(error)) from None
