"""`data/catalog.yaml`: which chunks and feedback archives are in use, and as what version to train.

DVC reads it as vars (`dvc.yaml` makes one frozen stage for each chunk and archive) and as params (`prepare`,
`train`, `champion` depend on exactly the keys they use). Only the learn flow writes it.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from pipeline.files import DataFileError, read_text, write_text
from pipeline.layout import CATALOG_FILE, NO_CHAMPION

_HEADER = """\
# Written by the learn flow (flows/learn.py); read by DVC. Chunks and archives in use, oldest first;
# `version` is the model that the stages build, `champion` the one that was served when that began.
"""
_CHUNK = re.compile(r"\d{4,}")
_ARCHIVE = re.compile(r"\d{4,}(-\d{4,})?")
_VERSION = re.compile(r"\d{8}T\d{6}")


@dataclass(frozen=True, slots=True)
class Catalog:
    """What `data/catalog.yaml` says. Chunks are `0007`; archives `0003`, or `0001-0005` when compacted."""

    version: str
    champion: str
    chunks: tuple[str, ...]
    archives: tuple[str, ...]

    def with_chunk(self, chunk: str, window: int) -> "Catalog":
        """The catalog with this chunk as its newest, at most `window` of them."""
        chunks = tuple(sorted({*self.chunks, chunk}, key=int))
        return replace(self, chunks=chunks[-window:])

    def with_archive(self, archive: str, window: int) -> "Catalog":
        """The catalog with this archive. More than `window` archives: the oldest become one; none leaves."""
        archives = list(self.archives)
        if archive not in archives:
            archives.append(archive)
        if len(archives) > window:
            surplus = len(archives) - window + 1
            first, last = archives[0].split("-")[0], archives[surplus - 1].split("-")[-1]
            archives = [f"{first}-{last}", *archives[surplus:]]
        return replace(self, archives=tuple(archives))


def read_catalog(path: Path = CATALOG_FILE) -> Catalog:
    """The catalog. Raises DataFileError naming the key that is missing or malformed."""
    try:
        document = yaml.safe_load(read_text(path, utf16=False, missing=f"`git checkout {path}` restores it"))
    except yaml.YAMLError as error:
        raise DataFileError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(document, dict):
        raise DataFileError(f"{path} is not a mapping: `git checkout {path}` restores it")

    def checked(key: str, value: object, shape: re.Pattern[str]) -> str:
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise DataFileError(f"{path}: {key} has {value!r}, which is not like {shape.pattern}")
        return value

    def listed(key: str, shape: re.Pattern[str]) -> tuple[str, ...]:
        items = document.get(key) or []
        if not isinstance(items, list):
            raise DataFileError(f"{path}: {key} has {items!r}, which is not a list")
        return tuple(checked(key, item, shape) for item in items)

    champion = document.get("champion")
    return Catalog(
        version=checked("version", document.get("version"), _VERSION),
        champion=NO_CHAMPION if champion == NO_CHAMPION else checked("champion", champion, _VERSION),
        chunks=listed("chunks", _CHUNK),
        archives=listed("archives", _ARCHIVE),
    )


def write_catalog(catalog: Catalog, path: Path = CATALOG_FILE) -> None:
    """Write the catalog in one step; the same catalog, the same bytes."""
    lines = [f'version: "{catalog.version}"', f'champion: "{catalog.champion}"']
    for key, items in (("chunks", catalog.chunks), ("archives", catalog.archives)):
        lines.append(f"{key}:" if items else f"{key}: []")
        lines.extend(f'- "{item}"' for item in items)
    write_text(path, _HEADER + "\n".join(lines) + "\n")
