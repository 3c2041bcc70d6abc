"""Prepare: the mix of posts, corrections and general text, and what must never be trained on."""

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.files import DataFileError, read_csv, write_csv
from pipeline.freeze.catalog import Catalog, write_catalog
from pipeline.gold import read_gold
from pipeline.hashing import position
from pipeline.layout import ARCHIVE_COLUMNS, CHUNK_COLUMNS, NO_CHAMPION, PREPARED, archive_path, labeled_path
from pipeline.learn import prepare
from pipeline.learn.examples import SET_COLUMNS, Example, read_chunk_order, read_set
from pipeline.learn.prepare import by_time, check_listed, mix, read_archive, read_chunk, read_quality
from tests.support import ROOT
from tests.support.params import prepare_params

PARAMS = prepare_params(seed=1, base_ratio=1.0, feedback_weight=3.0, test_share=0.2, validation_share=0.2)


def texts(kind: str, count: int) -> list[str]:
    """Texts that resemble no other text: syllables drawn by the kind and the number."""
    result = []
    for number in range(count):
        rng = random.Random(f"{kind}{number}")
        result.append(f"{kind} " + "".join(chr(rng.randrange(0xAC00, 0xD7A4)) for _ in range(30)))
    return result


def chunk(number: int, count: int = 60) -> list[Example]:
    return [
        Example(text, i % 3, 1.0, f"chunk-{number:04d}", "전사") for i, text in enumerate(texts(f"글{number}", count))
    ]


def base(count: int = 200) -> list[Example]:
    return [Example(text, i % 3, 1.0, "base") for i, text in enumerate(texts("일반", count))]


def correction(text: str, label: int = 0, number: int = 1) -> Example:
    return Example(text, label, 1.0, f"feedback-{number:04d}")


def run(
    posts: list[Example],
    corrections: list[Example] | None = None,
    general: list[Example] | None = None,
    gold: list[Example] | None = None,
    newest: str = "chunk-0001",
    **params: Any,
) -> dict[str, list[Example]]:
    return mix(
        posts,
        corrections or [],
        base() if general is None else general,
        gold or [],
        newest=newest,
        params=replace(PARAMS, **params),
    )


def learned(sets: dict[str, list[Example]]) -> dict[str, Example]:
    return {example.text: example for example in (*sets["train"], *sets["validation"])}


def varied(text: str) -> str:
    return text[:-1] + "!?"


def test_the_same_rows_give_the_same_sets_in_the_same_order() -> None:
    assert run(chunk(1), [correction("다른 글")]) == run(chunk(1), [correction("다른 글")])
    other = run(chunk(1), [correction("다른 글")], seed=2)
    assert other["test_chunk"] == run(chunk(1), [correction("다른 글")])["test_chunk"]  # the seed samples base only
    assert other["train"] != run(chunk(1), [correction("다른 글")])["train"]


def test_every_post_is_in_exactly_one_set() -> None:
    posts = chunk(1)
    sets = run(posts)
    where = [example.text for name in ("train", "validation", "test_chunk") for example in sets[name]]
    assert {example.text for example in posts} <= set(where)
    assert len(where) == len(set(where))
    assert 3 <= len(sets["test_chunk"]) <= 25  # a fifth of 60, by hash
    assert {example.source for example in sets["test_base"]} == {"base"}
    assert 20 <= len(sets["test_base"]) <= 60  # a fifth of 200
    assert 3 <= len(sets["validation"]) <= 40


def test_the_order_of_the_rows_decides_nothing() -> None:
    posts, general = chunk(1), base()
    sets, turned = run(posts, general=general), run(posts[::-1], general=general[::-1])
    for name in prepare.SETS:
        assert sets[name]
        assert {example.text for example in sets[name]} == {example.text for example in turned[name]}


def test_base_is_as_many_as_posts_and_corrections() -> None:
    posts, corrections = chunk(1), [correction(text) for text in texts("교정", 10)]
    for ratio, expected in ((1.0, 70), (0.5, 35), (0.0, 0)):
        kinds = [e.source for e in learned(run(posts, corrections, base_ratio=ratio)).values()]
        assert kinds.count("base") == expected
    assert [e.source for e in learned(run(posts, general=base(20))).values()].count("base") <= 20


def test_without_posts_all_of_base_is_learned() -> None:
    sets = run([], newest="")
    assert len(learned(sets)) + len(sets["test_base"]) == 200
    assert sets["test_chunk"] == []
    assert learned(sets).keys().isdisjoint({e.text for e in sets["test_base"]})


def test_people_outvote_the_llm_and_weigh_more() -> None:
    posts = [Example(text, 1, 1.0, "chunk-0001", "마법사") for text in texts("글", 40)]
    corrections = [correction(post.text, label=0) for post in posts[:20]]
    found = learned(run(posts, corrections, general=[]))
    for post in posts[:20]:
        assert found[post.text] == Example(post.text, 0, 3.0, "feedback-0001", "마법사")
    assert {found[post.text].weight for post in posts[20:] if post.text in found} == {1.0}
    assert {found[post.text].label for post in posts[20:] if post.text in found} == {1}


def test_the_latest_correction_and_the_newest_chunk_count() -> None:
    text = texts("글", 1)[0]
    found = learned(run([], [correction(text, 0, 1), correction(text, 2, 2)], general=[]))
    assert found[text] == Example(text, 2, 3.0, "feedback-0002")
    older, newer = replace(chunk(1)[0], label=0), replace(chunk(1)[0], label=2, source="chunk-0002")
    sets = run([older, newer], general=[], test_share=0.0)
    assert [example.label for example in learned(sets).values()] == [2]


def test_a_corrected_text_always_trains_even_where_it_was_a_test() -> None:
    posts = chunk(1)
    tested = run(posts)["test_chunk"]
    assert tested
    corrections = [correction(example.text, label=(example.label + 1) % 3) for example in tested]
    sets = run(posts, corrections)
    assert sets["test_chunk"] == []
    trained = {example.text: example for example in sets["train"]}
    for example in tested:
        assert trained[example.text].label == (example.label + 1) % 3
    # Whatever validation would draw: all corrections train.
    many = [correction(text) for text in texts("교정", 60)]
    assert {e.text for e in many} <= {e.text for e in run(posts, many, validation_share=0.9)["train"]}


def test_what_resembles_a_correction_is_no_test_and_the_correction_is_learned() -> None:
    plain = run(chunk(1))
    tested = [e.text for e in (*plain["test_chunk"], *plain["test_base"])]
    corrections = [correction(varied(text), 2) for text in tested]
    sets = run(chunk(1), corrections)
    assert {c.text for c in corrections} <= set(learned(sets))
    assert sets["test_chunk"] == sets["test_base"] == []
    gold = [Example(tested[0], 0, 1.0, "gold")]
    assert corrections[0].text not in learned(run(chunk(1), corrections, gold=gold))  # but gold stands


def test_base_text_that_is_a_post_is_the_post() -> None:
    posts = chunk(1)
    general = [replace(post, source="base", label=(post.label + 1) % 3) for post in posts]
    sets = run(posts, general=general)
    assert sets["test_base"] == []
    assert all(example.source == "chunk-0001" for example in learned(sets).values())


def test_nothing_like_a_gold_text_is_learned() -> None:
    posts, general, corrections = chunk(1), base(), [correction(text) for text in texts("교정", 5)]
    wanted = [posts[0], posts[1], posts[2], posts[3], general[0], general[1], corrections[0]]
    gold = [Example(varied(example.text), 0, 1.0, "gold") for example in wanted]
    gold.append(Example(corrections[1].text, 0, 1.0, "gold"))
    before, after = learned(run(posts, corrections, general)), learned(run(posts, corrections, general, gold))
    assert any(example.text in before for example in wanted)
    assert all(example.text not in after for example in (*wanted, corrections[1]))
    assert corrections[2].text in after


def test_near_duplicates_never_straddle_a_split() -> None:
    posts = chunk(1)
    copies = [replace(post, text=varied(post.text)) for post in posts]
    sets = run([*posts, *copies], general=[])
    split = {example.text: name for name in ("train", "validation") for example in sets[name]}
    tested = {example.text for example in sets["test_chunk"]}
    pairs = [(post.text, copy.text) for post, copy in zip(posts, copies, strict=True)]
    for one, other in pairs:
        if one in tested or other in tested:
            assert one not in split
            assert other not in split
        else:
            assert split[one] == split[other]
    assert {"train", "validation"} == set(split.values())
    assert sum(one in tested and other not in tested for one, other in pairs) > 0
    # Base text that resembles a base test text is not learned either.
    general = base()
    tests = run(posts, general=general)["test_base"]
    found = run(posts, general=[*general, *(replace(e, text=varied(e.text)) for e in tests)], base_ratio=9.0)
    assert learned(found).keys().isdisjoint({varied(e.text) for e in tests})


def test_a_test_text_stays_a_test_text() -> None:
    first, second = chunk(1), chunk(2)
    before = run(first)
    after = run([*first, *second], [correction("새 교정")], newest="chunk-0002")
    tested = {example.text for example in before["test_chunk"]}
    assert tested
    assert learned(after).keys().isdisjoint(tested)
    assert {example.source for example in after["test_chunk"]} == {"chunk-0002"}
    assert after["test_base"] == before["test_base"]
    assert run([*second, *first], newest="chunk-0001")["test_chunk"] == before["test_chunk"]
    # Posted again in a newer chunk, it is still a test text.
    again = [replace(example, source="chunk-0002") for example in before["test_chunk"]]
    assert {e.text for e in run([*first, *again], newest="chunk-0002")["test_chunk"]} == tested


def pair(first_held_out: bool) -> tuple[str, str]:
    """Two near-duplicates of which one, by its own hash, is a test and the other is not."""
    share = PARAMS.test_share
    for text in texts("가족", 400):
        other = f"{text} ㅠ"
        drawn = position(text, "test") < share, position(other, "test") < share
        if drawn == (first_held_out, not first_held_out):
            return text, other
    raise AssertionError


def test_a_family_of_near_duplicates_follows_its_oldest_member() -> None:
    """Else the champion has learned the older one, and is tested on the newer one."""
    old, new = pair(first_held_out=False)
    first = [*chunk(1), Example(old, 0, 1.0, "chunk-0001")]
    second = [Example(new, 0, 1.0, "chunk-0002")]
    assert old in learned(run(first))
    sets = run([*first, *chunk(2), *second], newest="chunk-0002")
    assert new not in {e.text for e in sets["test_chunk"]}
    assert {old, new} <= learned(sets).keys()
    old, new = pair(first_held_out=True)
    sets = run([*chunk(1), Example(old, 0, 1.0, "chunk-0001"), *chunk(2), Example(new, 0, 1.0, "chunk-0002")])
    assert not {old, new} & learned(sets).keys()
    # General text was there before any post.
    old, new = pair(first_held_out=False)
    sets = run([*chunk(1), Example(new, 0, 1.0, "chunk-0001")], general=[*base(), Example(old, 0, 1.0, "base")])
    assert new not in {e.text for e in sets["test_chunk"]}


def test_voices_on_one_text_settle_by_majority_then_by_the_latest() -> None:
    text = texts("글", 1)[0]

    def label(*voices: int) -> Example:
        said = [correction(text, voice, number) for number, voice in enumerate(voices, start=1)]
        return learned(run([], said, general=[]))[text]

    assert label(*[2] * 40, 0) == Example(text, 2, 3.0, "feedback-0040")
    assert label(2, 0) == Example(text, 0, 3.0, "feedback-0002")
    assert label(0, 2, 1, 2, 0).label == 0  # two and two: 부정 was said last
    assert label(1).label == 1


# --- files ----------------------------------------------------------------------------------------------


def write_labeled(root: Path, number: str, rows: list[tuple[str, str, str]]) -> None:
    filled = [
        {**dict.fromkeys(CHUNK_COLUMNS, ""), "title": title, "body": body, "label": label, "job_group": "궁수"}
        for title, body, label in rows
    ]
    write_csv(labeled_path(number, root), filled, (*CHUNK_COLUMNS, "label"))


def write_feedback(root: Path, number: str, rows: list[tuple[str, str]]) -> None:
    filled = [{**dict.fromkeys(ARCHIVE_COLUMNS, ""), "text": text, "label": label} for text, label in rows]
    write_csv(archive_path(number, root), filled, ARCHIVE_COLUMNS)


def test_a_chunks_posts_without_a_label_are_left_out(tmp_path: Path) -> None:
    write_labeled(tmp_path, "0007", [("제목", "본문 \r\n ㅋㅋ", "2"), ("모름", "본문", ""), ("=1+1", "", "0")])
    assert read_chunk("0007", tmp_path) == [
        Example("제목\n본문\nㅋㅋ", 2, 1.0, "chunk-0007", "궁수"),
        Example("=1+1", 0, 1.0, "chunk-0007", "궁수"),
    ]
    with pytest.raises(DataFileError, match=r"labeled_data_0008\.csv is missing"):
        read_chunk("0008", tmp_path)


def write_confident(root: Path, number: str, rows: list[tuple[str, str]]) -> None:
    filled = [
        {**dict.fromkeys(CHUNK_COLUMNS, ""), "title": title, "label": "2", "confidence": confidence}
        for title, confidence in rows
    ]
    write_csv(labeled_path(number, root), filled, (*CHUNK_COLUMNS, "label", "confidence"))


def test_a_label_that_is_not_sure_can_weigh_less_or_nothing(tmp_path: Path) -> None:
    write_confident(tmp_path, "0007", [("하나", "0.9000"), ("둘", "0.4000"), ("셋", "")])

    def weights(**params: Any) -> list[float]:
        return [example.weight for example in read_chunk("0007", tmp_path, **params)]

    assert weights() == [1.0, 1.0, 1.0]
    assert weights(min_confidence=0.5) == [1.0, 0.0, 1.0]
    assert weights(min_confidence=0.5, confidence_weight=True) == [0.9, 0.0, 1.0]
    assert weights(confidence_weight=True) == [0.9, 0.4, 1.0]


def test_what_weighs_nothing_is_not_learned_but_tested() -> None:
    sure = chunk(1)
    unsure = [replace(example, weight=0.0) if i % 2 else example for i, example in enumerate(sure)]
    before, after = run(sure), run(unsure)
    assert after["test_chunk"] == before["test_chunk"]
    ours = {text for text, example in learned(after).items() if example.source == "chunk-0001"}
    dropped = {example.text for example in unsure if example.weight == 0}
    assert dropped & learned(before).keys()
    assert not dropped & ours
    assert len(ours) * 2 <= len(learned(after)) + len(after["test_chunk"]), "base is sampled for what is learned"
    corrected = run(unsure, [correction(text) for text in sorted(dropped)])
    assert dropped <= learned(corrected).keys(), "a person's word counts, however unsure the LLM was"


def test_the_quality_of_a_chunks_labels(tmp_path: Path) -> None:
    path = labeled_path("0007", tmp_path).with_suffix(".json")
    assert read_quality("0007", tmp_path) == {}
    path.parent.mkdir(parents=True)
    path.write_text('{"coverage": 0.99, "quality": {"gold": null, "repeats": {"agreement": 1.0}}}', encoding="utf-8")
    assert read_quality("0007", tmp_path) == {"chunk": "0007", "coverage": 0.99, "self_agreement": 1.0}
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DataFileError, match=r"labeled_data_0007\.json is not valid JSON"):
        read_quality("0007", tmp_path)


def test_an_archives_texts_are_normalised(tmp_path: Path) -> None:
    write_feedback(tmp_path, "0001-0005", [("\u1102\u1169\u1103\u1161\u11b8  ㅠㅠ", "0")])
    assert read_archive("0001-0005", tmp_path) == [Example("노답 ㅠㅠ", 0, 1.0, "feedback-0001-0005")]


def test_the_projects_gold_is_readable_and_has_every_mood() -> None:
    gold = read_gold(ROOT)
    assert {example.label for example in gold} == {0, 1, 2}
    assert all(example.text for example in gold)
    assert any(example.job_group for example in gold)


def test_gold_names_the_file_that_lacks_a_column(tmp_path: Path) -> None:
    (tmp_path / "data" / "gold").mkdir(parents=True)
    assert read_gold(tmp_path) == []
    (tmp_path / "data" / "gold" / "mine.csv").write_text("text,label\n글,1\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=r"mine\.csv lacks the column\(s\) title, body"):
        read_gold(tmp_path)


def test_check_listed(tmp_path: Path) -> None:
    write_labeled(tmp_path, "0001", [])
    write_labeled(tmp_path, "0002", [])
    write_feedback(tmp_path, "0001", [])
    (labeled_path("0001", tmp_path).parent / "labeled_data_0001.json").write_text("{}", encoding="utf-8")
    catalog = Catalog("20261122T154500", NO_CHAMPION, ("0001", "0002"), ("0001",))
    check_listed(catalog, tmp_path)
    with pytest.raises(DataFileError, match=r"labeled_data_0003\.csv is listed .* missing \(2 in all\): `dvc pull`"):
        check_listed(replace(catalog, chunks=("0001", "0002", "0003", "0004")), tmp_path)
    with pytest.raises(DataFileError, match=r"labeled_data_0002\.csv is not listed"):
        check_listed(replace(catalog, chunks=("0001",)), tmp_path)
    with pytest.raises(DataFileError, match=r"feedback_0002\.csv is listed"):
        check_listed(replace(catalog, archives=("0001", "0002")), tmp_path)
    with pytest.raises(DataFileError, match=r"feedback_0001\.csv is not listed"):
        check_listed(replace(catalog, archives=()), tmp_path)
    shutil.rmtree(labeled_path("0001", tmp_path).parent)
    with pytest.raises(DataFileError, match=r"labeled_data_0001\.csv is listed"):
        check_listed(catalog, tmp_path)


def test_the_newest_chunk_is_the_one_with_the_newest_posts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backfill's chunk has the highest number and posts of 2019."""
    for number, day in (("0008", "2026-11-21"), ("0009", "2026-11-22"), ("0010", "2019-05-01")):
        rows = [
            {
                **dict.fromkeys(CHUNK_COLUMNS, ""),
                "title": text,
                "label": str(i % 3),
                # Two posts were pushed up, or have a wrong date: the middle one counts.
                "posted_at": f"{day if i > 1 else '2030-01-01'}T12:00:00+09:00",
            }
            for i, text in enumerate(texts(number, 60))
        ]
        write_csv(labeled_path(number, tmp_path), rows, (*CHUNK_COLUMNS, "label"))
    assert by_time(["0008", "0009", "0010"], tmp_path) == ["0010", "0008", "0009"]
    assert by_time([], tmp_path) == []
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    write_catalog(Catalog("20261122T154500", NO_CHAMPION, ("0008", "0009", "0010"), ()))
    general = [{"text": text, "label": i % 3} for i, text in enumerate(texts("일반", 100))]
    write_csv(Path("data/base/merged_label_final.csv"), general, ("text", "label"))
    prepare.main([])
    assert {example.source for example in read_set("test_chunk")} == {"chunk-0009"}
    assert read_chunk_order() == ["0010", "0008", "0009"]


def test_the_stage_writes_sets_that_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    write_catalog(Catalog("20261122T154500", NO_CHAMPION, ("0001", "0002"), ("0001",)))
    for number in ("0001", "0002"):
        write_labeled(Path(), number, [(text, "본문", str(i % 3)) for i, text in enumerate(texts(number, 60))])
    write_feedback(Path(), "0001", [("=1+1 교정", "2")])
    general = [{"text": text, "label": i % 3} for i, text in enumerate(texts("일반", 200))]
    write_csv(Path("data/base/merged_label_final.csv"), general, ("text", "label"))
    prepare.main([])
    before = {path.name: path.read_bytes() for path in sorted(PREPARED.iterdir())}
    assert list(before) == [
        "labels.json",
        "summary.json",
        "test_base.csv",
        "test_chunk.csv",
        "train.csv",
        "validation.csv",
    ]
    sets = {name: read_set(name) for name in prepare.SETS}
    assert Example("=1+1 교정", 2, 3.0, "feedback-0001") in sets["train"]
    assert {example.source for example in sets["test_chunk"]} == {"chunk-0002"}
    assert len(read_csv(PREPARED / "train.csv", SET_COLUMNS)) == len(sets["train"])
    prepare.main([])
    assert {path.name: path.read_bytes() for path in sorted(PREPARED.iterdir())} == before
    labeled_path("0002").unlink()
    with pytest.raises(DataFileError, match=r"labeled_data_0002\.csv is listed"):
        prepare.main([])
