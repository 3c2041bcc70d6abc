"""The list of posts whose label looks wrong, over a real database."""

from pathlib import Path

from app.suspects import SHOWN, Suspects
from pipeline.live.records import Feedback
from pipeline.live.store import Store
from tests.app.world import flag


def test_the_list_is_the_files_in_its_order(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "suspects.csv"
    suspects = Suspects(store, path)
    assert suspects.read() == []  # nothing was evaluated yet
    flag(path, (2295, 1007), (2295, 1003), (2294, 9999))  # the last one is not in the database
    first, second = suspects.read()
    assert (first.key, second.key) == ("2295:1007", "2295:1003")
    assert (first.title, first.text) == ("비숍 이야기 7", "비숍 이야기 7\n본문")
    assert (first.label, first.suggested) == (0, 2)
    assert first.url == "https://www.inven.co.kr/board/maple/2295/1007"
    flag(path, (2295, 1003))
    assert [suspect.key for suspect in suspects.read()] == ["2295:1003"]


def test_what_people_settled_is_not_asked_again_and_one_visitor_settles_nothing(store: Store, tmp_path: Path) -> None:
    suspects = Suspects(store, flag(tmp_path / "s.csv", (2295, 1000), (2295, 1001), (2295, 1002)))
    assert [suspect.post_id for suspect in suspects.read()] == [1001, 1002]  # the world has a named source's on 1000
    for client in ("a", "a", "b"):
        store.add_feedback(Feedback(text="x", label=1, board_id=2295, post_id=1001, client=client))
    assert [suspect.post_id for suspect in suspects.read()] == [1001, 1002]
    assert [suspect.post_id for suspect in suspects.read("a")] == [1002]
    store.add_feedback(Feedback(text="x", label=1, board_id=2295, post_id=1001, client="c"))
    assert [suspect.post_id for suspect in suspects.read()] == [1002]
    store.assign_archive(1)
    assert [suspect.post_id for suspect in suspects.read()] == [1002]


def test_only_posts_are_shown_and_not_too_many(store: Store, tmp_path: Path) -> None:
    many = [(2295, 1000 + n) for n in range(1, 30)]
    assert len(Suspects(store, flag(tmp_path / "s.csv", *many)).read()) == SHOWN
    assert Suspects(store, flag(tmp_path / "f.csv", *many, source="feedback-0001")).read() == []


def test_a_broken_file_is_an_empty_list(store: Store, tmp_path: Path, caplog) -> None:
    path = tmp_path / "s.csv"
    for data in (b"\xff", b"a,b\n1,2\n", b"source,board_id,post_id,label,suggested\nchunk-1,x,1,0,2\n"):
        path.write_bytes(data)
        assert Suspects(store, path).read() == []
    assert caplog.text.count("can't be read") >= 3
