"""A model's folder: its metadata, and whether there is a model in it."""

import json
from pathlib import Path
from typing import Any

from pipeline.files import DataFileError
from pipeline.layout import CHAMPION, NO_CHAMPION, PRODUCTION

METADATA_FILE = "metadata.json"
NONE_FILE = "none.json"


def read_metadata(folder: Path) -> dict[str, Any]:
    """`metadata.json` of a model folder. Raises DataFileError."""
    path = folder / METADATA_FILE
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path} can't be read ({error}): `dvc checkout {folder}` restores it") from None
    if missing := {"version", "model_sha256", "temperature"} - set(metadata if isinstance(metadata, dict) else ()):
        raise DataFileError(f"{path} lacks {', '.join(sorted(missing))}: `dvc checkout {folder}` restores it")
    return metadata


def production_version(folder: Path = PRODUCTION) -> str:
    """The version in production, `none` before the first model."""
    try:
        return str(read_metadata(folder)["version"])
    except DataFileError:
        return NO_CHAMPION


def has_champion(folder: Path = CHAMPION) -> bool:
    """Whether there is a champion to compare with. Raises DataFileError when the folder says neither."""
    if (folder / NONE_FILE).exists():
        return False
    read_metadata(folder)
    return True
