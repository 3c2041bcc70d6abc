"""Commit: a cut chunk or archive is recorded by DVC, committed, pushed and tagged. Each function can be repeated.

The order of the steps: files that are new are written, then catalog and `dvc.lock`, then the push, the tag, the commit;
only then do files leave the work tree that the committed catalog no longer lists. So at every moment all that the
last commit lists is there or can be written again, and what a killed run was at can be finished.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.files import read_csv
from pipeline.freeze.archive import compact_archives, write_archive
from pipeline.freeze.catalog import (
    Catalog,
    by_time,
    catalog_text,
    first_number,
    last_number,
    read_catalog,
    write_catalog,
)
from pipeline.freeze.cut import is_labelled, write_chunk
from pipeline.freeze.history import FREEZE, LEAVE
from pipeline.freeze.repository import Repository
from pipeline.freeze.window import posted_times
from pipeline.layout import (
    ARCHIVED_FEEDBACK,
    CATALOG_FILE,
    LABELED_CHUNKS,
    RAW_CHUNKS,
    archive_path,
    labeled_path,
    raw_path,
)
from pipeline.live.store import Store

_OURS = re.compile(r"(?:raw_data|labeled_data|feedback)_(\d{4,})(?:-(\d{4,}))?\.(?:csv|json)")


def freeze_chunk(repository: Repository, number: int, window: int) -> str:
    """Record a chunk whose raw and labelled files are written: catalog, DVC, commit, push, tag. Returns the tag.

    A chunk of old posts is listed by the commit that its tag names, so that `dvc pull` there brings it; the next
    commit leaves it out of the window again.
    """
    name, tag = f"{number:04d}", f"chunk-{number:04d}"
    if number in repository.frozen("chunk"):
        return tag
    rows = read_csv(labeled_path(name, repository.root), ("label", "posted_at"))
    counted = f"{len(rows):,} posts, {sum(bool(row['label']) for row in rows):,} labelled"
    _bring_listed(repository)
    with repository.changing():
        before = _committed(repository)
        catalog = before.with_chunk(name, window, posted_times((*before.chunks, name), repository.root))
        trains = name in catalog.chunks
        if not trains:
            catalog = replace(before, chunks=(name, *before.chunks))
        _write(repository, catalog)
        repository.enter_never_made()
        repository.dvc("commit", "--quiet", "--force", f"cut@{name}", f"label@{name}")
        repository.prune_lock(_stages(catalog))
        repository.record(f"{FREEZE} chunk {name}", tag, f"Chunk {name}: {counted}")
        if not trains:
            _write(repository, before)
            repository.prune_lock(_stages(before))
            repository.record(f"{LEAVE} chunk {name}: its posts are older than the window's")
        _sweep(repository)
    return tag


def freeze_archive(repository: Repository, store: Store, number: int, window: int) -> str:
    """Write and record a feedback archive: file, catalog, DVC, commit, push, tag. Returns the tag."""
    name, tag = f"{number:04d}", f"feedback-{number:04d}"
    if number in repository.frozen("feedback"):
        return tag
    write_archive(store, name, repository.root)
    rows = read_csv(archive_path(name, repository.root), ("label",))
    with repository.changing():
        before = _committed(repository)
        catalog = before.with_archive(name, window)
        new = [item for item in catalog.archives if item not in before.archives]
        for item in new:
            members = [old for old in (*before.archives, name) if old not in catalog.archives and _within(old, item)]
            if members:
                for member in members:
                    _bring(repository, store, member)
                compact_archives(sorted(members, key=first_number), repository.root)
        _write(repository, catalog)
        repository.enter_never_made()
        repository.dvc("commit", "--quiet", "--force", *(f"archive@{item}" for item in new))
        repository.prune_lock(_stages(catalog))
        repository.record(f"{FREEZE} feedback {name}", tag, f"Feedback {name}: {len(rows):,} corrections")
        _sweep(repository)
    return tag


def keep_window(repository: Repository, window: int, unfrozen: Sequence[int] = ()) -> None:
    """Finish what a killed run began: the window, files that should have come or left.

    `unfrozen`: chunks that are not frozen yet. What a killed run wrote of them goes too, unless it is whole.
    """
    _bring_listed(repository)
    before = _committed(repository)
    newest = by_time(before.chunks, posted_times(before.chunks, repository.root))[-window:]
    if len(newest) < len(before.chunks):
        with repository.changing():
            catalog = replace(before, chunks=newest)
            _write(repository, catalog)
            repository.prune_lock(_stages(catalog))
            left = [name for name in before.chunks if name not in newest]
            repository.record(
                f"{LEAVE} chunk {left[0]}: its posts are older than the window's"
                if len(left) == 1
                else f"Keep the newest {window} chunks: {len(left)} leave the window"
            )
    _sweep(repository)
    for number in unfrozen:
        if not is_labelled(f"{number:04d}", repository.root):
            path = labeled_path(f"{number:04d}", repository.root)
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)


def take_labelled(repository: Repository, store: Store, number: int) -> bool:
    """Write the raw chunk; whether its labelled file is there already, so that no LLM need be asked.

    It is when a killed run had written it whole, or when another branch has frozen this chunk: its tag has the file.
    """
    name = f"{number:04d}"
    write_chunk(store, name, repository.root)
    if is_labelled(name, repository.root):
        return True
    tag = f"chunk-{name}"
    path = labeled_path(name)
    return repository.has_tag(tag) and all(repository.take(file, tag) for file in (path, path.with_suffix(".json")))


def _committed(repository: Repository) -> Catalog:
    """The catalog to go on from: as it was committed, whatever a killed run had written since."""
    return repository.committed_catalog() or read_catalog(repository.root / CATALOG_FILE)


def _write(repository: Repository, catalog: Catalog) -> None:
    repository.write_ahead(CATALOG_FILE, catalog_text(catalog))
    write_catalog(catalog, repository.root / CATALOG_FILE)


def _stages(catalog: Catalog) -> list[str]:
    chunks = [f"{kind}@{name}" for name in catalog.chunks for kind in ("cut", "label")]
    return chunks + [f"archive@{name}" for name in catalog.archives]


def _within(archive: str, joined: str) -> bool:
    return first_number(joined) <= first_number(archive) and last_number(archive) <= last_number(joined)


def _bring(repository: Repository, store: Store, archive: str) -> None:
    """See that an archive's file is in the work tree: from DVC as committed, else from the live database's rows."""
    path = archive_path(archive)
    if not (repository.root / path).exists() and not repository.take(path, "HEAD"):
        write_archive(store, archive, repository.root)


def _listed(catalog: Catalog) -> dict[Path, str]:
    """The files that a catalog lists, and the stage that each is an output of."""
    files = {raw_path(name): f"cut@{name}" for name in catalog.chunks}
    files |= {labeled_path(name): f"label@{name}" for name in catalog.chunks}
    files |= {labeled_path(name).with_suffix(".json"): f"label@{name}" for name in catalog.chunks}
    return files | {archive_path(name): f"archive@{name}" for name in catalog.archives}


def _bring_listed(repository: Repository) -> None:
    """See that the files of the committed catalog are in the work tree: Git's switching of branches leaves them be.

    What neither DVC's cache nor its remote has is left for training to say.
    """
    listed = _listed(_committed(repository))
    missing = {path: stage for path, stage in listed.items() if not (repository.root / path).exists()}
    repository.take_all(missing)


def _sweep(repository: Repository) -> None:
    """Take files out of the work tree that are ours, frozen, and no longer listed by the committed catalog.

    Only what DVC's cache holds byte for byte: they stay there, on the remote and under their tags. Archives go too when
    what is listed holds their rows: members that were joined, and what was joined in vain.
    """
    catalog = _committed(repository)
    listed = _listed(catalog)
    archived = catalog.numbers("feedback")
    for folder in (RAW_CHUNKS, LABELED_CHUNKS, ARCHIVED_FEEDBACK):
        for path in sorted((repository.root / folder).glob("*_*.*")):
            found = _OURS.fullmatch(path.name)
            if not found or path.relative_to(repository.root) in listed:
                continue
            numbers = range(int(found[1]), int(found[2] or found[1]) + 1)
            held = folder == ARCHIVED_FEEDBACK and archived.issuperset(numbers)
            if held or repository.cached(hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()):
                path.unlink(missing_ok=True)
