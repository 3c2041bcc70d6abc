"""Commit: a cut chunk or archive is recorded by DVC, committed, pushed and tagged. Each function can be repeated."""

from pipeline.files import read_csv
from pipeline.freeze.archive import compact_archives, write_archive
from pipeline.freeze.catalog import Catalog, read_catalog, write_catalog
from pipeline.freeze.repository import Repository
from pipeline.layout import CATALOG_FILE, archive_path, labeled_path, raw_path
from pipeline.live.store import Store


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
