"""Sections of the project's params.yaml with some values changed: what a test trains, evaluates or decides by."""

from dataclasses import replace
from typing import Any, TypeVar

from pipeline.evaluate.params import EvaluateParams
from pipeline.learn.params import PrepareParams, TrainParams
from pipeline.params import read_params
from pipeline.release.promote import PromoteParams
from tests.support import ROOT

Params = TypeVar("Params")


def _changed(section: str, kind: type[Params], changes: dict[str, Any]) -> Params:
    return replace(read_params(section, kind, ROOT / "params.yaml"), **changes)  # type: ignore[type-var]


def prepare_params(**changes: Any) -> PrepareParams:
    return _changed("prepare", PrepareParams, changes)


def train_params(**changes: Any) -> TrainParams:
    return _changed("train", TrainParams, changes)


def evaluate_params(**changes: Any) -> EvaluateParams:
    return _changed("evaluate", EvaluateParams, changes)


def promote_params(**changes: Any) -> PromoteParams:
    return _changed("promote", PromoteParams, changes)
