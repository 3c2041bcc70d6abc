"""Release: train, evaluate, promote and record a model from the catalog as it stands. Each function can be repeated.

`python -m pipeline.release` trains and releases a model now, for example the base model before the first chunk.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pipeline import clock
from pipeline.files import DataFileError
from pipeline.freeze import dvc_lock
from pipeline.freeze.catalog import Catalog, catalog_text, parse_catalog, read_catalog, write_catalog
from pipeline.freeze.history import RELEASE
from pipeline.freeze.repository import SOURCE_PATHS, Repository, RepositoryError
from pipeline.layout import CATALOG_FILE, DECISION_FILE, NO_CHAMPION, PRODUCTION
from pipeline.model.folder import production_version

log = logging.getLogger(__name__)

PROMOTE = "promote"  # the stage that fills models/production/


def begin_model(repository: Repository, champion: str | None = None) -> Catalog:
    """Write the version to train and the champion to compare with into the catalog, unless a killed run has.

    `champion`: a version, or `none`, in place of what is served. Call it inside `Repository.changing()`. Raises
    RepositoryError when a model was released on this branch and is nowhere to be had.
    """
    path = repository.root / CATALOG_FILE
    begun = repository.begun() if champion is None else {}
    if begun and repository.history().has_model(begun["version"]):  # tagged already, but on no branch
        begun = {}
    catalog = replace(
        repository.committed_catalog() or read_catalog(path),
        version=begun.get("version") or _new_version(repository),
        champion=begun.get("champion") or champion or chosen_champion(repository) or served_version(repository),
    )
    repository.begin(catalog.version, catalog.champion)
    repository.write_ahead(CATALOG_FILE, catalog_text(catalog))
    write_catalog(catalog, path)
    return catalog


def release_model(repository: Repository, champion: str | None = None) -> dict[str, Any]:
    """Train, evaluate, promote and release from the catalog as it stands. Returns the gate's decision.

    A run that was killed is gone on with, under the version it began. `champion` as in `begin_model`.
    """
    with repository.changing():
        catalog, head = begin_model(repository, champion), repository.head()
        # Without a remote `--pull` fails where a stage's outputs of before are in the cache (DVC 3.67, measured).
        pull = ["--pull"] if repository.dvc("remote", "list") else []
        repository.dvc("repro", *pull, PROMOTE)
        decision: dict[str, Any] = json.loads((repository.root / DECISION_FILE).read_text(encoding="utf-8"))
        _require_same_sources(repository, head)
        message = f"Model {catalog.version}: {decision['verdict']}\n\n" + "\n".join(decision["reasons"])
        repository.record(f"{RELEASE} {catalog.version}", f"model-{catalog.version}", message)
    return decision


def served_version(repository: Repository, say: Callable[[str], None] = log.warning) -> str:
    """The version that is served, `none` before the first model. What is released but not here is brought here.

    On a fresh clone, or after a killed run has put an unreleased model there, `models/production/` comes from DVC's
    cache or its remote as HEAD records it. Raises RepositoryError when neither has it: without a champion whatever is
    trained would be served.
    """
    folder = repository.root / PRODUCTION
    version = production_version(folder)
    if version != NO_CHAMPION and repository.has_tag(f"model-{version}"):
        return version
    try:
        recorded = dvc_lock.has_run(repository.show("HEAD", dvc_lock.LOCK_FILE), PROMOTE)
    except RepositoryError:
        recorded = False
    if not recorded:
        return NO_CHAMPION
    released = next(iter(repository.tags("model")), "a model")
    remotes = repository.dvc("remote", "list").splitlines()
    say(f"{released} was released on this branch, but is not in {PRODUCTION}: bringing it back …")
    try:
        repository.dvc("checkout", "--quiet", "--force", str(PRODUCTION))
    except RepositoryError:
        if remotes:
            try:
                repository.dvc("pull", "--quiet", "--force", str(PRODUCTION))
            except RepositoryError as error:
                say(str(error))
    if (version := production_version(folder)) == NO_CHAMPION:
        where = f"nor on the remote ({remotes[0]})" if remotes else "and no DVC remote is configured"
        raise RepositoryError(
            f"{released} was released on this branch, but is neither in {PRODUCTION} nor in DVC's cache {where}. "
            "Without it the next model would be served unjudged. `dvc remote add --default store PATH` and `dvc pull` "
            "bring it; `python -m pipeline.release --champion none` begins anew without it"
        )
    return version


def chosen_champion(repository: Repository) -> str | None:
    """The champion that a person has committed into the catalog since the newest model; None when nobody has."""
    newest = repository.history().newest_model()
    catalog = repository.committed_catalog()
    if newest is None or catalog is None:
        return None
    try:
        before = parse_catalog(repository.show(newest, CATALOG_FILE), CATALOG_FILE)
    except (RepositoryError, DataFileError):
        return None
    return catalog.champion if catalog.champion != before.champion else None


def _new_version(repository: Repository) -> str:
    """A version of now that nothing has yet, here or on another branch: a clock may stand still or go back."""
    moment, taken = clock.now(), repository.history()
    while taken.has_model(clock.version_stamp(moment)):
        moment += timedelta(seconds=1)
    return clock.version_stamp(moment)


def _require_same_sources(repository: Repository, head: str) -> None:
    """Raise RepositoryError when what the model was made from was edited or committed while it was made."""
    repository.require_no_edits(*SOURCE_PATHS)
    if head != repository.head() and repository.git("diff", "--name-only", head, "HEAD", "--", *SOURCE_PATHS):
        raise RepositoryError(
            "what models are made from was committed while one was made: it is not released; the next run makes one "
            "from the new state"
        )
