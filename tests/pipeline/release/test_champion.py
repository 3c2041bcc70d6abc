"""The champion: none, what is in production, or what a tag released."""

import subprocess
from pathlib import Path

import pytest

from pipeline.files import DataFileError, write_json
from pipeline.layout import CHAMPION, PRODUCTION
from pipeline.model.folder import METADATA_FILE, NONE_FILE, has_champion, production_version, read_metadata
from pipeline.release.champion import write_champion

OLD, NEW = "20261101T000000", "20261122T154500"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Git and DVC repository, to stand in."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n", encoding="utf-8")
    commit("first")
    return tmp_path


def git(*arguments: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def commit(subject: str) -> None:
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "-m", subject)


def released(version: str) -> None:
    write_json(PRODUCTION / METADATA_FILE, {"version": version, "model_sha256": "", "temperature": 1.0})
    (PRODUCTION / "model.keras").write_bytes(f"weights of {version}".encode())


def test_before_the_first_model(project: Path) -> None:
    assert production_version() == "none"
    write_champion("none")
    assert [path.name for path in CHAMPION.iterdir()] == [NONE_FILE]
    assert not has_champion()


def test_what_is_in_production(project: Path) -> None:
    write_champion("none")
    released(NEW)
    assert production_version() == NEW
    write_champion(NEW)
    assert has_champion()
    assert {path.name: path.read_bytes() for path in CHAMPION.iterdir()} == {
        path.name: path.read_bytes() for path in PRODUCTION.iterdir()
    }  # and what stood there before is gone


def test_an_older_release_comes_from_its_tag(project: Path) -> None:
    released(OLD)
    commit("old release")
    git("tag", f"model-{OLD}")
    released(NEW)
    commit("new release")
    write_champion(OLD)
    assert read_metadata(CHAMPION)["version"] == OLD
    assert (CHAMPION / "model.keras").read_bytes() == f"weights of {OLD}".encode()
    assert production_version() == NEW


def test_an_unknown_version_says_what_to_do(project: Path) -> None:
    released(NEW)
    message = (
        rf"the champion {OLD} is neither in {PRODUCTION} nor at the tag model-{OLD} .*"
        r"`git fetch --tags`, then `dvc fetch`, or set `champion: \"none\"` in data/catalog\.yaml"
    )
    with pytest.raises(DataFileError, match=message):
        write_champion(OLD)


def test_a_folder_that_says_neither_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"metadata\.json can't be read"):
        has_champion(tmp_path)
