"""What the crawl flow does beside crawling, without a server: keywords and moods of what is new."""

from pathlib import Path

import pytest

from flows.score import score_new
from pipeline import clock
from pipeline.files import write_json
from pipeline.live.records import Post
from pipeline.live.store import Store
from pipeline.serve.score import keywords_version, scorer


@pytest.mark.parametrize("half", ["no model", "half a model"])
def test_posts_wait_for_their_moods_while_another_model_is_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("models/production")
    metadata = {"version": "20261122T000000", "model_sha256": "0" * 64, "temperature": 1.0}
    write_json(folder / "metadata.json", metadata)
    if half != "no model":
        (folder / "model.keras").write_bytes(b"PK")
    now = clock.now()
    with Store(f"sqlite:///{tmp_path}/live.db") as store:
        store.add_posts([Post(2294, 1, None, "전사", None, "보스 패치", "보스가 어렵다", "", now, now)])
        said = score_new.fn(store, 100)
        assert "keywords of 1 posts; their moods wait" in said
        assert "model.keras" in said
        assert store.posts_without_keywords(keywords_version(), 10) == []
        assert len(store.posts_to_score(scorer(metadata), 10)) == 1  # the next run judges it
