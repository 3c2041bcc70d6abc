"""The model in production: taken up when its folder changes, beside the one that answers."""

import gc
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import write_json
from pipeline.hashing import file_hash
from pipeline.model.features import VOCABULARY_FILE
from pipeline.model.folder import METADATA_FILE, read_metadata
from pipeline.model.network import MODEL_FILE, load_network, save_network
from pipeline.release.promote import replace_folder
from pipeline.serve import production as module
from pipeline.serve.classifier import Classifier
from pipeline.serve.production import ProductionModel

ModelCopy = Callable[[Path, str], Path]
OLD, NEW = "20261122T000000", "20261123T000000"


def test_before_the_first_model_there_is_none(tmp_path: Path, model_copy: ModelCopy) -> None:
    production = ProductionModel(tmp_path / "production")
    assert production.refresh() is None
    model_copy(tmp_path / "production", OLD)
    found = production.refresh()
    assert found is not None
    assert found.version == OLD


def test_a_new_version_is_taken_up_and_back(tmp_path: Path, model_copy: ModelCopy) -> None:
    old, new = model_copy(tmp_path / "old", OLD), model_copy(tmp_path / "new", NEW)
    production = ProductionModel(tmp_path / "production")
    for source, version in ((old, OLD), (new, NEW), (old, OLD)):
        replace_folder(source, tmp_path / "production")
        found = production.refresh()
        assert found is not None
        assert found.version == version
        assert production.refresh() is found  # nothing changed: nothing is loaded again
    # DVC may put the same version there anew: the loaded model stays.
    os.utime(tmp_path / "production" / METADATA_FILE, (1, 1))
    assert production.refresh() is found


@pytest.mark.parametrize("half", ["no model", "half a model", "half a vocabulary", "half metadata"])
def test_a_half_written_folder_keeps_the_old_model(tmp_path: Path, model_copy: ModelCopy, half: str) -> None:
    folder = model_copy(tmp_path / "production", OLD)
    production = ProductionModel(folder)
    before = production.refresh()
    assert before is not None
    new = model_copy(tmp_path / "new", NEW)
    replace_folder(new, folder)
    name = {"model": MODEL_FILE, "vocabulary": VOCABULARY_FILE, "metadata": METADATA_FILE}[half.split()[-1]]
    data = (folder / name).read_bytes()
    (folder / name).unlink()
    if half.startswith("half"):
        (folder / name).write_bytes(data[: len(data) // 2])
    assert production.refresh() is before
    assert ProductionModel(folder).refresh() is None  # a new process waits for the rest
    (folder / name).write_bytes(data)
    after = production.refresh()
    assert after is not None
    assert after.version == NEW


def test_models_that_were_replaced_are_freed(tmp_path: Path, model_copy: ModelCopy) -> None:
    def graphs() -> int:
        return sum(type(thing).__name__ == "FuncGraph" for thing in gc.get_objects())

    models = [model_copy(tmp_path / version, version) for version in (OLD, NEW)]
    production = ProductionModel(tmp_path / "production")
    counts = []
    for n in range(4):
        replace_folder(models[n % 2], tmp_path / "production")
        assert production.refresh() is not None
        counts.append(graphs())
    assert counts == [counts[0]] * 4


def test_a_removed_folder_keeps_the_old_model(tmp_path: Path, model_copy: ModelCopy) -> None:
    folder = model_copy(tmp_path / "production", OLD)
    production = ProductionModel(folder)
    before = production.refresh()
    shutil.rmtree(folder)
    assert before is not None
    assert production.refresh() is before


def test_threads_that_swap_at_once_see_one_new_model(tmp_path: Path, model_copy: ModelCopy) -> None:
    folder = model_copy(tmp_path / "production", OLD)
    production = ProductionModel(folder)
    with ThreadPoolExecutor(8) as pool:
        assert len({id(found) for found in pool.map(lambda _: production.refresh(), range(16))}) == 1
    metadata = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
    write_json(folder / METADATA_FILE, {**metadata, "version": NEW})
    with ThreadPoolExecutor(8) as pool:
        versions = [found.version for found in pool.map(lambda _: production.refresh(), range(16)) if found]
    assert set(versions) <= {OLD, NEW}
    found = production.refresh()
    assert found is not None
    assert found.version == NEW


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nobody_waits_while_a_model_is_loaded(
    tmp_path: Path, model_copy: ModelCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, new = model_copy(tmp_path / "production", OLD), model_copy(tmp_path / "new", NEW)
    loading, may_go_on = threading.Event(), threading.Event()
    load = Classifier.load

    def slowly(folder: Path) -> Classifier:
        loading.set()
        assert may_go_on.wait(30)
        return load(folder)

    monkeypatch.setattr(module.Classifier, "load", slowly)
    production = ProductionModel(folder)
    assert (production.current(), production.warming_up) == (None, True)
    with production.watched(look_s=0.01):
        for source, version, before in ((None, OLD, None), (new, NEW, OLD)):
            if source:
                replace_folder(source, folder)
            assert loading.wait(30)
            started = time.monotonic()
            found = production.current()
            assert time.monotonic() - started < 0.1
            assert (found and found.version) == before
            assert production.warming_up is (before is None)
            loading.clear()
            may_go_on.set()
            until(lambda version=version: getattr(production.current(), "version", None) == version)
            assert not production.warming_up
            may_go_on.clear()


def broken(folder: Path) -> None:
    """Make the model of a folder one that says nothing: every weight is no number."""
    network = load_network(folder)
    network.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    save_network(network, folder, "x")
    write_json(folder / METADATA_FILE, {**read_metadata(folder), "model_sha256": file_hash(folder / MODEL_FILE)})


def test_a_model_that_fails_its_smoke_test_is_not_served(
    tmp_path: Path, model_copy: ModelCopy, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "production"
    old, bad = model_copy(tmp_path / "old", OLD), model_copy(tmp_path / "bad", NEW)
    broken(bad)
    shutil.copytree(bad, folder)
    production = ProductionModel(folder)
    assert production.refresh() is None
    assert not production.warming_up  # nothing comes until somebody puts another one there
    replace_folder(old, folder)
    before = production.refresh()
    assert before is not None
    replace_folder(bad, folder)
    assert production.refresh() is before
    assert production.refresh() is before
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        f"model {NEW} is not served: its probabilities are not finite or do not sum to one"
    ] * 2


def test_what_ends_the_libraries_does_not_end_the_page(
    tmp_path: Path, model_copy: ModelCopy, caplog: pytest.LogCaptureFixture
) -> None:
    folder, new = model_copy(tmp_path / "production", OLD), model_copy(tmp_path / "new", NEW)
    production = ProductionModel(folder)
    before = production.refresh()
    (new / MODEL_FILE).write_bytes(b"PK\x03\x04 no model")
    write_json(new / METADATA_FILE, {**read_metadata(new), "model_sha256": file_hash(new / MODEL_FILE)})
    with production.watched(look_s=0.01):
        replace_folder(new, folder)
        until(lambda: bool(caplog.records))
        time.sleep(0.1)
        assert production.current() is before
        assert len(caplog.records) == 1  # said once, tried again and again
        replace_folder(model_copy(tmp_path / "newer", NEW), folder)
        until(lambda: production.current() is not before)


def test_a_model_of_other_features_is_said_to_be_outdated_until_the_next_one(
    tmp_path: Path, model_copy: ModelCopy, caplog: pytest.LogCaptureFixture
) -> None:
    folder = model_copy(tmp_path / "production", OLD)
    vocabulary = json.loads((folder / VOCABULARY_FILE).read_text(encoding="utf-8"))
    write_json(folder / VOCABULARY_FILE, {**vocabulary, "features": vocabulary["features"] - 1})
    production = ProductionModel(folder)
    for _ in range(2):
        assert production.refresh() is None
    assert (production.outdated, production.warming_up) == (True, False)
    assert len([record for record in caplog.records if "is of features version" in record.message]) == 1
    replace_folder(model_copy(tmp_path / "new", NEW), folder)
    found = production.refresh()
    assert found is not None
    assert (found.version, production.outdated) == (NEW, False)
