"""Champion: `models/champion/` is what was served when this run began, by its version in `data/catalog.yaml`.

A pure function of that version: the bytes are taken from `models/production/` while that is still it, else from
the Git tag that released it. `python -m pipeline.release.champion`.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline import errors
from pipeline.files import DataFileError, write_json
from pipeline.freeze.catalog import read_catalog
from pipeline.layout import CHAMPION, NO_CHAMPION, PRODUCTION
from pipeline.model.folder import NONE_FILE, production_version


def write_champion(version: str, folder: Path = CHAMPION) -> None:
    """Fill the champion's folder. Raises DataFileError when that version is nowhere to be found."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if version == NO_CHAMPION:
        write_json(folder / NONE_FILE, {"champion": NO_CHAMPION, "why": "no model had been released yet"})
    elif production_version() == version:
        for source in sorted(PRODUCTION.iterdir()):
            shutil.copyfile(source, folder / source.name)
    else:
        _fetch(version, folder)


def _fetch(version: str, folder: Path) -> None:
    from dvc.api import DVCFileSystem

    tag = f"model-{version}"
    try:
        files = DVCFileSystem(".", rev=tag)
        for name in files.ls(str(PRODUCTION), detail=False):
            files.get_file(name, str(folder / Path(name).name))
    except Exception as error:  # DVC raises many kinds; every one means the same here
        raise DataFileError(
            f"the champion {version} is neither in {PRODUCTION} nor at the tag {tag} ({error}). "
            '`git fetch --tags`, then `dvc fetch`, or set `champion: "none"` in data/catalog.yaml and commit it '
            "(`python -m pipeline.release --champion none` does the same for one training)"
        ) from None


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m pipeline.release.champion`."""
    argparse.ArgumentParser(prog="python -m pipeline.release.champion", description=__doc__).parse_args(arguments)
    write_champion(read_catalog().champion)


if __name__ == "__main__":
    errors.run(main)
