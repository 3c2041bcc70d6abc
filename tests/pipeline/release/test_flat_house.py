"""A repository whose chunks and archive were frozen while pipeline/ was flat walks over to the rooms.

`flat_house/dvc.yaml` is that time's, with other commands and deps; small modules of the old names stand in for its
code.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.freeze.commit import freeze_archive
from pipeline.freeze.repository import Repository
from pipeline.live.records import Feedback
from pipeline.live.store import Store
from pipeline.release.model import release_model
from tests.pipeline.release.test_model import add_chunk
from tests.support import ROOT
from tests.support.project import make_project, run

DVC = (sys.executable, "-m", "dvc")
OLD = Path(__file__).parent / "flat_house" / "dvc.yaml"
COMMANDS = {"base": "learn.base", "champion": "release.champion", "prepare": "learn.prepare", "train": "learn.train"}
COMMANDS |= {"promote": "release.promote", "cut": "freeze.cut", "archive": "freeze.archive"}
SHIM = "from pipeline import errors\nfrom pipeline.{} import main\n\nerrors.run(main)\n"


def build_flat_house(root: Path) -> list[Path]:
    """Put the old dvc.yaml and modules of the old names into a project. Returns what was put there."""
    shutil.copy(OLD, root / "dvc.yaml")
    stages: dict[str, Any] = yaml.safe_load(OLD.read_text(encoding="utf-8"))["stages"]
    names = {dep for stage in stages.values() for dep in stage.get("deps", ()) if dep.endswith(".py")}
    put = []
    for path in (root / name for name in sorted(names | {f"pipeline/{name}.py" for name in COMMANDS})):
        if path.exists():
            continue  # still there under the same name
        path.write_text(SHIM.format(COMMANDS[path.stem]) if path.stem in COMMANDS else "", encoding="utf-8")
        put.append(path)
    (root / "demo").mkdir()
    put.append(Path(shutil.copy(ROOT / "data/base/hand_written.jsonl", root / "demo/base.jsonl")))
    return put


def commit(root: Path, message: str) -> None:
    run(root, "git", "add", "--all")
    run(root, "git", "commit", "--quiet", "--message", message)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_was_frozen_in_the_flat_house_is_at_home_in_the_rooms(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    put = build_flat_house(root)
    commit(root, "The flat house")
    repository = Repository(root)
    with Store(f"sqlite:///{root}/data/live/maple.db") as store:
        add_chunk(root, store, 1)
        add_chunk(root, store, 2)
        for i in range(10):
            store.add_feedback(Feedback(text=f"이건 정말 {i}번째로 재미있는 패치", label=2))
        assert store.assign_archive(10) == 1
        freeze_archive(repository, store, 1, window=2)
        first = release_model(repository)
        assert "python -m pipeline.cut 0001" in (root / "dvc.lock").read_text(encoding="utf-8")
        labelled = {path.name: path.read_bytes() for path in sorted((root / "data/labeled_chunks").glob("*.csv"))}

        # `git pull`: the same project in rooms.
        for path in put:
            path.unlink()
        shutil.copy(ROOT / "dvc.yaml", root / "dvc.yaml")
        commit(root, "Rooms")

        # What is frozen is as it was: nothing but the words of its command has changed, and nothing runs for it.
        status = json.loads(run(root, *DVC, "status", "--json"))
        frozen = {name: found for name, found in status.items() if "@" in name}
        assert all(found == ["changed command"] for found in frozen.values()), frozen
        assert run(root, *DVC, "status", "--json", "label@0001", "label@0002").strip() == "{}"
        dry = run(root, *DVC, "repro", "--dry", "--pull", "promote")
        assert "pipeline.label" not in dry
        assert "pipeline.freeze" not in dry

        # The next learn run: a new chunk, one training, no label asked for again.
        add_chunk(root, store, 3)
        second = release_model(repository)
        assert second["champion"] == first["production"]
        assert repository.untrained() == []
        lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"]
        assert lock["train"]["cmd"] == "python -m pipeline.learn.train"
        assert not [name for name in lock if "0001" in name and not name.startswith("archive")]  # left the window
        kept = root / "data/labeled_chunks/labeled_data_0002.csv"
        assert kept.read_bytes() == labelled[kept.name]
        assert run(root, *DVC, "status", "--json").strip() == "{}"
        assert "up to date" in run(root, *DVC, "repro", "--pull")
        trained = run(root, "git", "log", "--format=%s", "--grep", "Release model").splitlines()
        assert len(trained) == 2  # one before, one after

    # And back: an old chunk in another clone, with that time's code and dvc.yaml.
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(root), "clone")
    run(clone, "git", "checkout", "--quiet", "chunk-0001")
    run(clone, *DVC, "pull", "--quiet", "label@0001")
    assert (clone / "data/labeled_chunks/labeled_data_0001.csv").read_bytes() == labelled["labeled_data_0001.csv"]
    run(clone, "git", "checkout", "--quiet", f"model-{first['challenger']}")
    run(clone, *DVC, "pull", "--quiet")
    assert "up to date" in run(clone, *DVC, "repro")
