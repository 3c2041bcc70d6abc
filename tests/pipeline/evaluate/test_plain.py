"""Plain sentences: what a model gets right of each group, the floor, and a file that is in no training text."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluate.plain import KINDS, MOODS, PlainSentence, by_group, read_plain, under_floor
from pipeline.files import DataFileError, read_csv, write_csv
from pipeline.gold import read_gold
from pipeline.label.prompt import load_prompt
from pipeline.layout import PLAIN_COLUMNS, PLAIN_FILE
from pipeline.learn.duplicates import groups
from pipeline.text import join_post, normalise
from tests.support import ROOT

SENTENCES = read_plain(ROOT)


def keyword_model(texts: list[str]) -> np.ndarray:
    """부정 for 최악 and ㅠㅠ, 긍정 for 갓, else 중립; surer the more there are of them."""
    answers = np.full((len(texts), 3), [0.2, 0.6, 0.2])
    for row, text in zip(answers, texts, strict=True):
        row[0] += text.count("최악") + 0.3 * text.count("ㅠ")
        row[2] += text.count("갓")
    return np.asarray(answers / answers.sum(axis=1, keepdims=True))


def oracle(texts: list[str]) -> np.ndarray:
    """Knows every label; of pairs it says the same, and nearer to the mood that is wanted."""
    known = {one.text: one.mood for one in SENTENCES if one.kind == "unmistakable"}
    nearer = {one.other: one.mood for one in SENTENCES if one.kind == "pair-toward"}
    answers = np.full((len(texts), 3), 0.2)
    for row, text in zip(answers, texts, strict=True):
        mood = known.get(text, nearer.get(text))
        row[1 if mood is None else mood] += 0.4
    return answers


def test_a_model_that_knows_all_has_all_right() -> None:
    found = by_group(SENTENCES, oracle)
    assert {name: group.share for name, group in found.items()} == dict.fromkeys(found, 1.0)
    assert sum(group.sentences for group in found.values()) == len(SENTENCES)
    assert under_floor(found, 1.0) == ""


def test_each_kind_is_judged_in_its_own_way() -> None:
    some = [
        PlainSentence("a", "unmistakable", "최악이다", "", 0),
        PlainSentence("a", "unmistakable", "좋은 날", "", 2),
        PlainSentence("b", "pair-same", "히어로 최악", "비숍 최악", None),
        PlainSentence("b", "pair-same", "점검 언제", "점검 언제 최악", None),
        PlainSentence("c", "pair-toward", "오늘 점검", "오늘 점검 ㅠㅠ", 0),
        PlainSentence("c", "pair-toward", "오늘 점검", "오늘 점검 끝", 0),
        PlainSentence("c", "pair-toward", "갓겜", "갓겜 최악", 2),
    ]
    found = by_group(some, keyword_model)
    assert [(group.right, group.sentences) for group in found.values()] == [(1, 2), (1, 2), (1, 3)]
    assert found["a"].wrong == ("좋은 날",)
    assert list(found) == ["a", "b", "c"]


def test_where_nothing_is_left_to_come_nearer_a_pair_is_right() -> None:
    pair = PlainSentence("c", "pair-toward", "최악", "최악 ㅠㅠ", 0)
    sure = by_group([pair], lambda texts: np.tile([0.99, 0.005, 0.005], (len(texts), 1)))
    unsure = by_group([pair], lambda texts: np.tile([0.9, 0.05, 0.05], (len(texts), 1)))
    assert (sure["c"].right, unsure["c"].right) == (1, 0)


def test_a_model_that_never_says_neutral_is_under_the_floor() -> None:
    never = by_group(SENTENCES, lambda texts: np.tile([0.5, 0.0, 0.5], (len(texts), 1)))
    reason = under_floor(never, 0.9)
    assert reason.startswith("33% of 60 plain sentences right, 90% are needed: '")
    assert under_floor(by_group([], oracle), 0.9) == f"{PLAIN_FILE} has no sentence of the group {MOODS}"


def test_the_file_holds_what_it_must() -> None:
    assert len(SENTENCES) >= 150
    kinds = Counter(one.kind for one in SENTENCES)
    assert set(kinds) == set(KINDS)
    by_name = Counter(one.group for one in SENTENCES)
    singles = {MOODS, "negation", "slang", "questions", "trade", "irony"}
    assert singles | {"other job", "spacing", "typo", "laughter", "tears", "worst", "god"} <= set(by_name)
    assert min(by_name.values()) >= 5
    assert Counter(one.mood for one in SENTENCES if one.group == MOODS) == {0: 20, 1: 20, 2: 20}
    everything = [text for one in SENTENCES for text in (one.text, one.other) if text]
    assert max(map(len, everything)) <= 60
    firsts = [one.text for one in SENTENCES]
    assert len(set(firsts)) == len(firsts)


def test_no_plain_sentence_is_in_any_text_that_is_learned_from_or_shown() -> None:
    """Near-duplicates included: base, gold, the prompts' examples, demo posts."""
    base = [
        json.loads(line)["text"]
        for path in sorted((ROOT / "data/base").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    prompts = [
        f"{post.title}\n{post.body}"
        for path in sorted((ROOT / "pipeline/prompts").glob("*.toml"))
        for prompt in [load_prompt(path.stem, ROOT / "pipeline/prompts")]
        for post in (*prompt.shots, *prompt.calibration)
    ]
    demo = [json.loads(line) for line in (ROOT / "demo/posts.jsonl").read_text(encoding="utf-8").splitlines()]
    others = [
        *base,
        *(post.text for post in read_gold(ROOT)),
        *prompts,
        *(join_post(p["title"], p["body"]) for p in demo),
    ]
    titles = [p["title"] for p in demo] + [post.title for post in read_gold(ROOT)]
    plain = [text for one in SENTENCES for text in (one.text, one.other) if text]
    found = groups([*plain, *(normalise(text) for text in (*others, *titles))])
    shared = set(found[: len(plain)]) & set(found[len(plain) :])
    assert not shared, [text for text, group in zip(plain, found, strict=False) if group in shared]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "single"}, "kind is 'single'"),
        ({"text": " "}, "group or text is empty"),
        ({"label": ""}, "unmistakable takes a label alone"),
        ({"label": "7"}, "'7' is not a label"),
        ({"direction": "0"}, "unmistakable takes a label alone"),
        ({"other": "다른 글"}, "a pair needs its second text"),
        ({"kind": "pair-same", "other": "다른 글"}, "pair-same takes neither label nor direction"),
        ({"kind": "pair-toward", "other": "다른 글"}, "pair-toward takes a direction alone"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, str], says: str) -> None:
    good = {"group": MOODS, "kind": "unmistakable", "text": "최악", "other": "", "label": "0", "direction": ""}
    write_csv(tmp_path / PLAIN_FILE, [good, {**good, **change}], PLAIN_COLUMNS)
    with pytest.raises(DataFileError, match=rf"plain_sentences.csv, row 2: .*{says}"):
        read_plain(tmp_path)


def test_the_file_is_written_as_all_our_csv_are() -> None:
    assert (ROOT / PLAIN_FILE).read_bytes().startswith(b"\xef\xbb\xbf")
    assert len(read_csv(ROOT / PLAIN_FILE, PLAIN_COLUMNS)) == len(SENTENCES)
