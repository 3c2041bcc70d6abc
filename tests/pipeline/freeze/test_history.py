"""What a branch has frozen and learned, from its commits and the tags that they carry."""

from pipeline.freeze.history import Commit, History


def line(*subjects: str, tags: dict[str, int] | None = None, elsewhere: tuple[str, ...] = ()) -> History:
    """A history in one line, oldest first; tags by the place of their commit; tags that other branches hold."""
    commits = [Commit(str(i), (str(i - 1),) if i else (), subject) for i, subject in enumerate(subjects)]
    known = {name: str(place) for name, place in (tags or {}).items()}
    return History(reversed(commits), known | dict.fromkeys(elsewhere, "other"))


def test_an_empty_repository() -> None:
    history = line()
    assert (history.numbers("chunk"), history.highest("chunk"), history.unlearned()) == (set(), 0, [])
    assert history.newest_model() is None


def test_a_commit_says_what_it_froze_with_or_without_its_tag() -> None:
    history = line("Begin", "Freeze chunk 0001", "Freeze feedback 0003", "x", tags={"chunk-0002": 3})
    assert history.numbers("chunk") == {1, 2}
    assert history.numbers("feedback") == {3}
    assert history.holds("feedback-0003") == "2"
    assert history.holds("chunk-0009") is None
    assert history.says("Freeze chunk 0001")


def test_what_only_resembles_our_subjects_counts_for_nothing() -> None:
    history = line(
        'Revert "Freeze chunk 0001"',
        "Freeze chunk",
        "Freeze chunk 0001 again",
        "Release model 2026",
        "freeze chunk 0001",
    )
    assert history.numbers("chunk") == set()
    assert history.newest_model() is None


def test_tags_of_other_branches_take_numbers_and_freeze_nothing_here() -> None:
    history = line("Freeze chunk 0001", elsewhere=("chunk-0010", "feedback-0004", "model-20260101T000000"))
    assert history.numbers("chunk") == {1}
    assert (history.highest("chunk"), history.highest("feedback")) == (10, 4)
    assert history.newest_model() is None
    assert history.has_model("20260101T000000")
    assert not history.has_model("20260102T000000")


def test_newest_is_by_history_whatever_the_stamps_say() -> None:
    history = line(
        "Release model 20361122T000000",
        "Freeze chunk 0002",
        "Release model 20261127T100000",
        tags={"model-20361122T000000": 0, "model-20261127T100000": 2},
    )
    assert history.newest_model() == "2"
    assert history.tagged("model") == ["model-20261127T100000", "model-20361122T000000"]
    assert history.unlearned() == []


def test_what_came_after_the_newest_model_is_unlearned() -> None:
    history = line(
        "Freeze chunk 0001",
        "Release model 20261127T100000",
        "Freeze chunk 0002",
        "Freeze feedback 0001",
        "Relabel",
        tags={"chunk-0001-relabelled": 4, "chunk-0002": 2},
    )
    assert history.unlearned() == ["chunk-0001-relabelled", "chunk-0002", "feedback-0001"]


def test_a_chunk_that_was_left_out_is_not_waited_for() -> None:
    history = line(
        "Release model 20261127T100000",
        "Freeze chunk 0002",
        "Leave out chunk 0002: its posts are older than the window's",
        "Freeze chunk 0003",
    )
    assert history.unlearned() == ["chunk-0003"]
    assert history.numbers("chunk") == {2, 3}


def test_a_chunk_that_both_sides_of_a_merge_froze_is_learned_once() -> None:
    #   0 Begin - 1 Freeze chunk 0002 - 2 Release ----- 4 Merge
    #        \--- 3 Freeze chunk 0002 (another branch) --/
    commits = [
        Commit("4", ("2", "3"), "Merge branch 'feature'"),
        Commit("3", ("0",), "Freeze chunk 0002"),
        Commit("2", ("1",), "Release model 20261127T100000"),
        Commit("1", ("0",), "Freeze chunk 0002"),
        Commit("0", (), "Begin"),
    ]
    assert History(commits, {}).unlearned() == []
    other = [commits[0], Commit("3", ("0",), "Freeze chunk 0003"), *commits[2:]]
    assert History(other, {}).unlearned() == ["chunk-0003"]


def test_a_shallow_clone_ends_somewhere() -> None:
    commits = [
        Commit("9", ("8",), "Freeze chunk 0005"),
        Commit("8", ("7",), "Release model 20261127T100000"),  # its parent is not here
    ]
    assert History(commits, {}).unlearned() == ["chunk-0005"]
