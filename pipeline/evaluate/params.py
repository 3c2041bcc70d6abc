"""Section `evaluate` of params.yaml."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from pipeline.params import AtLeastOne, Count


@dataclass(frozen=True, slots=True)
class EvaluateParams:
    """What each value means, and its unit, stands beside it in params.yaml."""

    seed: int
    bootstrap: AtLeastOne
    slice_min: AtLeastOne
    length_bounds: tuple[AtLeastOne, AtLeastOne]
    suspects_of: Count
    folds: Annotated[int, Field(ge=2)]
