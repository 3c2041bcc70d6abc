"""`data/catalog.yaml`: which chunks and feedback archives are in use, and as what version to train.

DVC reads it as vars (`dvc.yaml` makes one frozen stage for each chunk and archive) and as params (`prepare`,
`train`, `champion` depend on exactly the keys they use). Only the learn flow writes it.

The window: the `catalog.window` chunks with the newest *posts* train, by the median time at which a chunk's posts were
posted, not by its number. So a backfill of old posts pushes nothing out. Its chunks are labelled, frozen and kept like
all others; they train while they are among the newest (the window is not full yet, say), and leave it first.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
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

    def with_chunk(self, chunk: str, window: int, posted: Mapping[str, str] | None = None) -> "Catalog":
        """The catalog with this chunk, if it is one of the `window` newest.

        `posted`: the time of each chunk's posts (`pipeline.freeze.window`), oldest first as text. Chunks without one
        are as old as the chunk before them; where no time is known the number decides.
        """
        return replace(self, chunks=by_time({*self.chunks, chunk}, posted or {})[-window:])

    def with_archive(self, archive: str, window: int) -> "Catalog":
        """The catalog with this archive. More than `window` archives: the oldest are joined; none leaves.

        Only neighbours are joined, so that `0003-0007` names what it holds: where another branch or machine has frozen
        a number between two of ours, they stay two.
        """
        archives = list(self.archives)
        if first_number(archive) not in self.numbers("feedback"):
            archives = sorted([*archives, archive], key=first_number)
        while len(archives) > window and (at := _joint(archives)) is not None:
            archives[at : at + 2] = [f"{archives[at].split('-')[0]}-{archives[at + 1].split('-')[-1]}"]
        return replace(self, archives=tuple(archives))

    def numbers(self, kind: str) -> set[int]:
        """The numbers of the chunks (`chunk`) or archives (`feedback`) that are listed, joined ones with all theirs."""
        if kind == "chunk":
            return {int(chunk) for chunk in self.chunks}
        return {
            number for archive in self.archives for number in range(first_number(archive), last_number(archive) + 1)
        }


def by_time(chunks: Iterable[str], posted: Mapping[str, str]) -> tuple[str, ...]:
    """Chunks, those with the oldest posts first. One without a known time is as old as the number before it."""
    times, known = {}, ""
    for chunk in sorted(chunks, key=int):
        known = posted.get(chunk, known)
        times[chunk] = known
    return tuple(sorted(times, key=lambda chunk: (times[chunk], int(chunk))))


def first_number(archive: str) -> int:
    """3 of `0003` and of `0003-0007`."""
    return int(archive.split("-")[0])


def last_number(archive: str) -> int:
    """3 of `0003`, 7 of `0003-0007`."""
    return int(archive.split("-")[-1])


def _joint(archives: Sequence[str]) -> int | None:
    """Where the oldest two neighbours begin; None when there are none."""
    places = range(len(archives) - 1)
    return next((at for at in places if last_number(archives[at]) + 1 == first_number(archives[at + 1])), None)


def read_catalog(path: Path = CATALOG_FILE) -> Catalog:
    """The catalog in a file. Raises DataFileError naming the key that is missing or malformed."""
    return parse_catalog(read_text(path, utf16=False, missing=f"`git checkout {path}` restores it"), path)


def parse_catalog(text: str, path: Path) -> Catalog:
    """The catalog in a text, which came from `path`. Raises DataFileError as `read_catalog` does."""
    try:
        document = yaml.safe_load(text)
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


def catalog_text(catalog: Catalog) -> str:
    """The file: the same catalog, the same text."""
    lines = [f'version: "{catalog.version}"', f'champion: "{catalog.champion}"']
    for key, items in (("chunks", catalog.chunks), ("archives", catalog.archives)):
        lines.append(f"{key}:" if items else f"{key}: []")
        lines.extend(f'- "{item}"' for item in items)
    return _HEADER + "\n".join(lines) + "\n"


def write_catalog(catalog: Catalog, path: Path = CATALOG_FILE) -> None:
    """Write the catalog in one step."""
    write_text(path, catalog_text(catalog))
