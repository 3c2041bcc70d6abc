"""A start: the released model is brought, a base model trained, an own base file tried; and how a model begins."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from pipeline import clock
from pipeline.clock import KST
from pipeline.files import DataFileError
from pipeline.freeze.catalog import read_catalog
from pipeline.freeze.repository import RepositoryError
from pipeline.layout import BASE_FILE, CATALOG_FILE, NO_CHAMPION
from pipeline.lock import LEARN, Busy, only_run
from pipeline.release.first import own_base, see_to_model
from pipeline.release.model import begin_model, chosen_champion, release_model, served_version
from tests.support.project import run
from tests.support.quick_dvc import QuickRepository, quick_project

BASE = "text,label\n갓패치,2\n노답,0\n그냥,1\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return quick_project(tmp_path / "project")


@pytest.fixture
def released(root: Path) -> QuickRepository:
    """A project that has released a model, learned from the built-in base file."""
    repository = QuickRepository(root)
    release_model(repository)
    return repository


@pytest.fixture
def clone(released: QuickRepository, tmp_path: Path) -> Callable[..., QuickRepository]:
    """A clone of it, without data."""
    run(tmp_path, "git", "clone", "--quiet", str(released.root), "clone")
    return lambda **how: QuickRepository(tmp_path / "clone", **how)


def commit_champion(root: Path, champion: str) -> None:
    path = root / CATALOG_FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(f'champion: "{champion}"\n' if line.startswith("champion") else line for line in lines))
    run(root, "git", "commit", "--quiet", "--all", "--message", "Choose a champion")


# --- a start --------------------------------------------------------------------------------------------


def test_the_first_start_trains_the_base_model(root: Path) -> None:
    said: list[str] = []
    repository = QuickRepository(root)
    see_to_model(repository, said.append)
    assert said[0].startswith("No model yet: training the base model")
    assert said[-1] == f"model-{repository.served()}: promoted (a test)"
    assert repository.tags("model") == [f"model-{repository.served()}"]
    head = repository.head()
    see_to_model(repository, said.append)  # and the next start nothing
    assert repository.head() == head


@pytest.mark.parametrize(("has_models", "remote"), [(True, ""), (False, "store\t/path")], ids=["cache", "remote"])
def test_a_fresh_clone_is_served_what_was_released(
    released: QuickRepository, clone: Callable[..., QuickRepository], has_models: bool, remote: str
) -> None:
    said: list[str] = []
    here = clone(has_models=has_models, remote=remote)
    head = here.head()
    see_to_model(here, said.append)
    assert here.served() == released.served()
    assert here.head() == head
    assert "bringing it back" in said[0]
    assert said[-1] == f"Serving model-{released.served()}."


def test_a_fresh_clone_that_can_reach_no_model_trains_none_ungated(clone: Callable[..., QuickRepository]) -> None:
    here = clone(has_models=False)
    for attempt in (lambda: see_to_model(here), lambda: release_model(here)):
        with pytest.raises(
            RepositoryError, match=r"was released on this branch, .* no DVC remote is configured.*--champion none"
        ):
            attempt()
    assert here.trained == {}
    assert release_model(here, NO_CHAMPION)["champion"] == NO_CHAMPION  # asked for, it begins anew


def test_a_model_on_another_branch_is_named(released: QuickRepository, root: Path) -> None:
    model = released.tags("model")[0]
    run(root, "git", "switch", "--quiet", "-c", "older", "HEAD~1")
    run(root, "git", "clean", "-fdqx", "models")
    said: list[str] = []
    see_to_model(QuickRepository(root), said.append)
    assert f"{model} is on another one" in said[0]


def test_a_start_beside_a_learn_run_waits_only_for_what_it_needs(released: QuickRepository, root: Path) -> None:
    with only_run(LEARN, root):
        see_to_model(released)  # a model is there
        run(root, "git", "clean", "-fdqx", "models")
        with pytest.raises(Busy, match="another learn run is at work"):
            see_to_model(released)


def test_an_own_base_file_is_tried_named_and_used(released: QuickRepository, root: Path) -> None:
    assert not own_base(released)
    (root / BASE_FILE).write_text(BASE, encoding="utf-8-sig")
    assert own_base(released)
    said: list[str] = []
    see_to_model(released, said.append)
    assert f"{BASE_FILE} is new (3 texts): the next model learns from it" in said[0]
    assert len(released.tags("model")) == 2


def test_an_own_base_file_that_cannot_be_used_is_named(released: QuickRepository, root: Path) -> None:
    (root / BASE_FILE).write_text("text,label\n글,좋음\n", encoding="utf-8-sig")
    with pytest.raises(DataFileError, match=r"merged_label_final\.csv: 1 of 1 rows have another label"):
        see_to_model(released)
    assert len(released.tags("model")) == 1


# --- how a model begins ---------------------------------------------------------------------------------


def test_versions_are_unique_where_the_clock_stands_still_or_has_gone_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = QuickRepository(root)
    moments = [datetime(2036, 1, 1, tzinfo=KST), *[datetime(2026, 11, 22, tzinfo=KST)] * 3]
    for moment in moments:
        monkeypatch.setattr(clock, "now", lambda moment=moment: moment)
        release_model(repository)
    stamps = ["20261122T000002", "20261122T000001", "20261122T000000", "20360101T000000"]
    assert repository.tags("model") == [f"model-{stamp}" for stamp in stamps]
    assert repository.untrained() == []


def test_a_model_that_a_kill_kept_from_its_release_is_no_champion(
    released: QuickRepository, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in production already, but no tag can bring it back."""
    first = released.served()

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(QuickRepository, "record", killed)
        with pytest.raises(Killed):
            release_model(released)
    begun = released.served()
    assert begun != first
    released.require_ready()
    with released.changing():
        catalog = begin_model(released)
    assert (catalog.version, catalog.champion) == (begun, first)  # gone on with

    run(root, "git", "checkout", "--quiet", "--", ".")
    run(root, "git", "commit", "--quiet", "--allow-empty", "--message", "Another state: the begun model is void")
    assert served_version(released) == first
    assert released.served() == first


def test_a_champion_that_a_person_has_committed_is_kept(released: QuickRepository, root: Path) -> None:
    second = release_model(released)
    assert chosen_champion(released) is None
    commit_champion(root, NO_CHAMPION)
    with released.changing():
        assert begin_model(released).champion == NO_CHAMPION
        run(root, "git", "checkout", "--quiet", "--", ".")
    third = release_model(released)
    assert third["champion"] == NO_CHAMPION
    fourth = release_model(released)  # for one model: then it is compared again
    assert fourth["champion"] == third["challenger"]
    commit_champion(root, second["challenger"])
    assert release_model(released)["champion"] == second["challenger"]


def test_sources_that_change_while_a_model_is_made_stop_its_release(
    released: QuickRepository, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = QuickRepository._train

    def train_while_somebody_commits(self: QuickRepository) -> None:
        real(self)
        (root / "params.yaml").write_text((root / "params.yaml").read_text() + "# edited\n")
        run(root, "git", "commit", "--quiet", "--message", "Edit", "params.yaml")

    with monkeypatch.context() as patch:
        patch.setattr(QuickRepository, "_train", train_while_somebody_commits)
        with pytest.raises(RepositoryError, match="was committed while one was made"):
            release_model(released)
    assert len(released.tags("model")) == 1
    released.require_ready()
    release_model(released)
    assert len(released.tags("model")) == 2
    assert read_catalog(root / CATALOG_FILE).version == released.served()
