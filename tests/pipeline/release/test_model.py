"""The frozen side end to end: chunks, corrections and models through real Git and DVC, killed and restored."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from pipeline import clock
from pipeline.freeze.commit import freeze_archive, freeze_chunk
from pipeline.freeze.cut import write_chunk
from pipeline.freeze.repository import Repository, RepositoryError
from pipeline.labels import SENTIMENTS
from pipeline.live.records import Feedback, Post
from pipeline.live.store import Store
from pipeline.release import model as release
from pipeline.release.first import own_base
from tests.support.project import make_project, run, write_labelled

DVC = (sys.executable, "-m", "dvc")
TEXTS = [json.loads(line) for line in Path("demo/posts.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("release") / "project")


@pytest.fixture(scope="module")
def store(root: Path) -> Store:
    return Store(f"sqlite:///{root}/data/live/maple.db")


def add_chunk(root: Path, store: Store, number: int, size: int = 40) -> str:
    """Collect posts, cut them, label them, freeze them."""
    now, first = clock.now(), (number - 1) * size
    store.add_posts(
        [
            Post(t["board_id"], first + i, None, "전사", None, t["title"], t["body"], "http://x", now, now)
            for i, t in enumerate(TEXTS[first : first + size])
        ]
    )
    assert store.assign_chunk(size) == number
    write_chunk(store, f"{number:04d}", root)
    write_labelled(store, number, [SENTIMENTS.index(t["mood"]) for t in TEXTS[first : first + size]], root)
    return freeze_chunk(Repository(root), number, window=2)


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_story_of_a_project(root: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(root)

    # A chunk is frozen: one commit, one tag, its files recorded by DVC and pushed.
    assert add_chunk(root, store, 1) == "chunk-0001"
    assert repository.changed("data", "dvc.lock") == []
    assert freeze_chunk(repository, 1, window=2) == "chunk-0001"  # again: nothing happens
    chunk_bytes = (root / "data/labeled_chunks/labeled_data_0001.csv").read_bytes()

    # Before there is any model, `git checkout chunk-0001 && dvc pull` brings it, and ends well.
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(root), "clone")
    run(clone, "git", "checkout", "--quiet", "chunk-0001")
    run(clone, *DVC, "pull", "--quiet")
    assert (clone / "data/labeled_chunks/labeled_data_0001.csv").read_bytes() == chunk_bytes
    assert release.served_version(Repository(clone)) == "none"
    shutil.rmtree(clone)

    # A run is killed while it trains; the next goes on with the version that was begun.
    def killed(*_: str) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Repository, "dvc", killed)
        with pytest.raises(KeyboardInterrupt):
            release.release_model(repository)
    begun = yaml.safe_load((root / "data/catalog.yaml").read_text())["version"]
    repository.require_ready()
    first = release.release_model(repository)
    assert first["challenger"] == begun
    assert first["verdict"] == "promoted"
    assert repository.untrained() == []
    first_model = digest(root / "models/candidate")

    # People correct; the next model learns from them, whatever the gate then says.
    for i in range(10):
        store.add_feedback(Feedback(text=f"이건 정말 {i}번째로 재미있는 패치", label=2))
    assert store.assign_archive(10) == 1
    assert freeze_archive(repository, store, 1, window=2) == "feedback-0001"
    assert repository.untrained() == ["feedback-0001"]
    base = root / "data/base/merged_label_final.csv"  # and somebody puts a base file of their own there
    base.write_bytes(base.read_bytes() + "내가 넣은 글,2\n".encode())
    own = base.read_bytes()
    assert own_base(repository)
    second = release.release_model(repository)
    assert base.read_bytes() == own
    assert not own_base(repository)
    assert second["challenger"] > begun
    assert second["champion"] == begun
    assert (root / "models/production/metadata.json").exists()
    summary = json.loads((root / "data/prepared/summary.json").read_text())
    assert summary["train"]["sources"]["feedback"] == 10

    # Everything is up to date, here and in a clone that has pulled, and nobody is asked for a label again.
    assert "up to date" in run(root, *DVC, "repro")
    run(tmp_path, "git", "clone", "--quiet", str(root), "clone")
    with pytest.raises(AssertionError, match="merged_label_final"):  # nothing is there: it says what is missing
        run(clone, *DVC, "repro")
    # What is served comes along by itself: no model is trained as if there were none.
    assert release.served_version(Repository(clone)) == second["production"]
    run(clone, *DVC, "pull", "--quiet")
    assert "up to date" in run(clone, *DVC, "repro")

    # The first model comes back byte for byte: restored, and trained again.
    run(clone, "git", "checkout", "--quiet", f"model-{begun}")
    run(clone, *DVC, "pull", "--quiet")
    assert digest(clone / "models/candidate") == first_model
    shutil.rmtree(clone / "models/candidate")
    run(clone, *DVC, "repro", "--force", "--single-item", "train")
    assert digest(clone / "models/candidate") == first_model
    with pytest.raises(RepositoryError, match="no branch"):
        Repository(clone).require_ready()

    # Chunks leave the window, not history.
    add_chunk(root, store, 2)
    add_chunk(root, store, 3)
    assert not (root / "data/labeled_chunks/labeled_data_0001.csv").exists()
    assert "label@0001" not in (root / "dvc.lock").read_text()
    run(clone, "git", "fetch", "--quiet", "--tags")
    run(clone, "git", "checkout", "--quiet", "chunk-0001")
    run(clone, *DVC, "pull", "--quiet", "cut@0001", "label@0001")
    assert (clone / "data/labeled_chunks/labeled_data_0001.csv").read_bytes() == chunk_bytes


def test_archives_beyond_the_window_are_joined_and_none_is_lost(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    with Store(f"sqlite:///{root}/data/live/maple.db") as store:
        for number in (1, 2, 3):
            store.add_feedback(Feedback(text=f"의견 {number}", label=number % 3))
            assert store.assign_archive(1) == number
            freeze_archive(Repository(root), store, number, window=2)
    run(tmp_path, "git", "clone", "--quiet", "--branch", "feedback-0001", str(root), "clone")
    run(tmp_path / "clone", *DVC, "pull", "--quiet")
    assert "의견 1" in (tmp_path / "clone/data/archived_feedback/feedback_0001.csv").read_text(encoding="utf-8-sig")
    catalog = yaml.safe_load((root / "data/catalog.yaml").read_text())
    assert catalog["archives"] == ["0001-0002", "0003"]
    files = sorted((root / "data/archived_feedback").glob("*.csv"))
    assert [f.name for f in files] == ["feedback_0001-0002.csv", "feedback_0003.csv"]
    assert "의견 1" in files[0].read_text(encoding="utf-8-sig")
    assert "의견 2" in files[0].read_text(encoding="utf-8-sig")
