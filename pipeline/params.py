"""Params: each section of `params.yaml` as a dataclass, with every key checked.

A section's dataclass stands beside the code that uses it; those that several rooms use stand here.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pipeline.errors import UserError
from pipeline.files import DataFileError, read_text

PARAMS_FILE = Path("params.yaml")


class ParamsError(UserError):
    """A section of params.yaml is missing or malformed. The message names it, its file and each key at fault."""


Params = TypeVar("Params")
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class CutParams:
    """Section `cut`."""

    size: AtLeastOne


@dataclass(frozen=True, slots=True)
class ArchiveParams:
    """Section `archive`."""

    size: AtLeastOne


@dataclass(frozen=True, slots=True)
class CatalogParams:
    """Section `catalog`."""

    window: AtLeastOne


@dataclass(frozen=True, slots=True)
class TextParams:
    """Section `text`."""

    tokenizer: Literal["kiwi", "okt"]


@dataclass(frozen=True, slots=True)
class ScoreParams:
    """Section `score`."""

    batch: AtLeastOne


def read_params(section: str, kind: type[Params], path: Path = PARAMS_FILE) -> Params:
    """A section of `params.yaml` as its dataclass, checked.

    Raises ParamsError naming the file, the section and each key that is missing, unknown or of the wrong type.
    """
    return checked(section, kind, read_section(section, path), path)


def read_section(section: str, path: Path = PARAMS_FILE) -> dict[str, Any]:
    """The keys and values of a section, unchecked. Raises ParamsError naming the file and the section."""
    try:
        document = yaml.safe_load(read_text(path.absolute(), utf16=False, missing="run from the project's root"))
    except DataFileError as error:
        raise ParamsError(str(error)) from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get(section), dict):
        raise ParamsError(f"{path} has no section '{section}'")
    return dict(document[section])


def checked(section: str, kind: type[Params], values: Mapping[str, Any], path: Path = PARAMS_FILE) -> Params:
    """These values as the section's dataclass. Raises ParamsError as `read_params` does."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    problems = [_unknown(str(key), known) for key in values if key not in known]
    text = json.dumps({key: value for key, value in values.items() if key in known}, default=str)
    try:
        # As JSON: strict about types there, and a list may still become a tuple.
        found = TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        problems += map(_problem, error.errors(include_url=False))
    if problems:
        raise ParamsError(f"{path}, section {section}: {'; '.join(problems)}")
    return found


def _unknown(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"{key} is unknown" + (f" (did you mean {close[0]}?)" if close else "")


def _problem(error: ErrorDetails) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"{key} is missing"
    return f"{key} is {error['input']!r}: {error['msg'].removeprefix('Input ')}"
