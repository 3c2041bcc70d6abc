"""Release: what the learn flow does once there is something to freeze or to learn. Each function can be repeated.

`python -m pipeline.release` trains and releases a model now, for example the base model before the first chunk.
"""

import json
from dataclasses import replace
from typing import Any

from pipeline import clock
from pipeline.freeze.catalog import Catalog, read_catalog, write_catalog
from pipeline.freeze.repository import Repository, RepositoryError
from pipeline.layout import CATALOG_FILE, DECISION_FILE, PRODUCTION
from pipeline.model.folder import production_version


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
