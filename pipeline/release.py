"""Release: what the learn flow does once there is something to freeze or to learn. Each function can be repeated.

`python -m pipeline.release` trains and releases a model now, for example the base model before the first chunk.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import clock, errors
from pipeline.archive import compact_archives, write_archive
from pipeline.catalog import Catalog, read_catalog, write_catalog
from pipeline.champion import production_version
from pipeline.files import read_csv
from pipeline.layout import CATALOG_FILE, DECISION_FILE, PRODUCTION, archive_path, labeled_path, raw_path
from pipeline.store import Store
from pipeline.versions import Repository, RepositoryError


def freeze_chunk(repository: Repository, number: int, window: int) -> str:
    """Record a chunk whose raw and labelled files are written: catalog, DVC, commit, push, tag. Returns the tag."""
    name, tag = f"{number:04d}", f"chunk-{number:04d}"
    if repository.has_tag(tag):
        return tag
    rows = read_csv(labeled_path(name, repository.root), ("label",))
    counted = f"{len(rows):,} posts, {sum(bool(row['label']) for row in rows):,} labelled"
    with repository.changing():
        before = read_catalog(repository.root / CATALOG_FILE)
        catalog = before.with_chunk(name, window)
        _leave_window(repository, before, catalog)
        write_catalog(catalog, repository.root / CATALOG_FILE)
        if name in catalog.chunks:
            repository.dvc("commit", "--quiet", "--force", f"cut@{name}", f"label@{name}")
        repository.release(f"Freeze chunk {name}", tag, f"Chunk {name}: {counted}")
    return tag


def freeze_archive(repository: Repository, store: Store, number: int, window: int) -> str:
    """Write and record a feedback archive: file, catalog, DVC, commit, push, tag. Returns the tag."""
    name, tag = f"{number:04d}", f"feedback-{number:04d}"
    if repository.has_tag(tag):
        return tag
    write_archive(store, name, repository.root)
    rows = read_csv(archive_path(name, repository.root), ("label",))
    with repository.changing():
        before = read_catalog(repository.root / CATALOG_FILE)
        catalog = before.with_archive(name, window)
        if joined := [item for item in before.archives if item not in catalog.archives]:
            compact_archives(joined, repository.root)
        _leave_window(repository, before, catalog)
        write_catalog(catalog, repository.root / CATALOG_FILE)
        repository.dvc("commit", "--quiet", "--force", *(f"archive@{item}" for item in catalog.archives))
        repository.release(f"Freeze feedback {name}", tag, f"Feedback {name}: {len(rows):,} corrections")
    return tag


def begin_model(repository: Repository) -> Catalog:
    """Write the version to train and the champion to compare with into the catalog, unless a killed run has.

    Call it inside `Repository.changing()`.
    """
    path = repository.root / CATALOG_FILE
    catalog = read_catalog(path)
    if not _begun(repository, catalog):
        champion = production_version(repository.root / PRODUCTION)
        catalog = replace(catalog, version=clock.version_stamp(clock.now()), champion=champion)
        write_catalog(catalog, path)
    return catalog


def release_model(repository: Repository) -> dict[str, Any]:
    """Train, evaluate, promote and release from the catalog as it stands. Returns the gate's decision.

    A run that was killed is gone on with, under the version it began.
    """
    with repository.changing():
        catalog = begin_model(repository)
        repository.dvc("repro", "--pull", "promote")
        decision: dict[str, Any] = json.loads((repository.root / DECISION_FILE).read_text(encoding="utf-8"))
        message = f"Model {catalog.version}: {decision['verdict']}\n\n" + "\n".join(decision["reasons"])
        repository.release(f"Release model {catalog.version}", f"model-{catalog.version}", message)
    return decision


def _begun(repository: Repository, catalog: Catalog) -> bool:
    """Whether this catalog's version is a model that a killed run began or committed, but did not tag."""
    if repository.has_tag(f"model-{catalog.version}"):
        return False
    committed = repository.git("log", "-1", "--format=%H", "--fixed-strings", f"--grep=Release model {catalog.version}")
    try:
        at_head = repository.git("show", f"HEAD:{CATALOG_FILE}")
    except RepositoryError:
        at_head = ""
    return bool(committed) or f'version: "{catalog.version}"' not in at_head


def _leave_window(repository: Repository, before: Catalog, after: Catalog) -> None:
    """Take chunks and archives that are no longer listed out of the work tree and of `dvc.lock`.

    They stay in DVC's cache, on the remote and under their tags.
    """
    for name in set(before.chunks) - set(after.chunks):
        labeled = labeled_path(name, repository.root)
        for path in (raw_path(name, repository.root), labeled, labeled.with_suffix(".json")):
            path.unlink(missing_ok=True)
    for name in set(before.archives) - set(after.archives):
        archive_path(name, repository.root).unlink(missing_ok=True)
    repository.prune_lock(
        [f"{kind}@{name}" for name in after.chunks for kind in ("cut", "label")]
        + [f"archive@{name}" for name in after.archives]
    )


def main() -> None:
    """Train and release a model from the catalog as it stands."""
    repository = Repository(Path())
    repository.require_ready()
    decision = release_model(repository)
    print(f"model-{decision['challenger']}: {decision['verdict']} ({'; '.join(decision['reasons'])})")


if __name__ == "__main__":
    errors.run(main)
