"""Labels that look wrong: planted ones are found, by models that never saw them."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluate.suspects import chosen, find, folds_of, out_of_sample, suspect_rows
from pipeline.files import DataFileError, write_csv
from pipeline.layout import CHUNK_COLUMNS, labeled_path
from pipeline.learn.examples import Example

WORDS = (("노답", "망겜", "접는다", "환불"), ("질문", "언제", "어디서", "시간"), ("갓겜", "최고", "재밌다", "혜자"))


def planted(wrong: set[int], copies: int = 20) -> list[Example]:
    """Texts of three words of their mood, 20 of each; those in `wrong` carry the next mood's label."""
    rng = np.random.default_rng(5)
    texts = [" ".join(rng.permutation(WORDS[i % 3])[:3]) + f" {i * 7919}" for i in range(3 * copies)]
    return [Example(text, (i + (i in wrong)) % 3, 1.0, "base") for i, text in enumerate(texts)]


def judged(examples: list[Example], folds: int = 5) -> np.ndarray | None:
    return out_of_sample(examples, [e.text.split() for e in examples], buckets=4096, c=4.0, trust=0.5, folds=folds)


def test_planted_errors_come_first() -> None:
    wrong = {4, 17, 30, 41}
    examples = planted(wrong)
    probabilities = judged(examples)
    assert probabilities is not None
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    found = find(np.array([e.label for e in examples]), probabilities)
    assert {i for i, _ in found[:4]} == wrong
    assert all(suggested == i % 3 for i, suggested in found[:4])
    assert len(found) < 10
    np.testing.assert_array_equal(judged(examples), probabilities)


def test_the_newest_chunk_is_checked_first_and_no_more_than_the_limit() -> None:
    sources = ["base", "chunk-0009", "chunk-0010", "feedback-0001-0003", "chunk-0010", "chunk-0002", "base"]
    examples = [Example(f"글 {i}", 0, 1.0, source) for i, source in enumerate(sources)]
    order = ["0002", "0009", "0010"]
    taken = [set(chosen(examples, limit, order)) for limit in range(8)]
    assert taken[2] == {2, 4}
    assert [taken[n + 1] - taken[n] for n in (2, 3, 4)] == [{3}, {1}, {5}]
    assert taken[6] - taken[5] < {0, 6}
    assert chosen(examples, 7, order) == chosen(examples, 5000, order) == list(range(7))
    assert chosen(examples, 3, order) == sorted(taken[3])
    # A backfill's chunk has the highest number and old posts.
    assert set(chosen(examples, 1, ["0010", "0002", "0009"])) == {1}


def test_no_text_is_judged_by_its_copy() -> None:
    # A wrong label and its near-duplicates with the same wrong label would vouch for each other.
    examples = planted({4})
    copies = [Example(examples[4].text + mark, examples[4].label, 1.0, "base") for mark in ("!", "!!", " ~", "?")]
    texts = [e.text for e in (*examples, *copies)]
    folds = folds_of(texts, 5)
    assert len(set(folds[[4, *range(60, 64)]].tolist())) == 1
    assert len(set(folds.tolist())) == 5
    assert folds_of(texts[::-1], 5).tolist() == folds[::-1].tolist()  # whatever their order
    probabilities = judged([*examples, *copies])
    assert probabilities is not None
    found = find(np.array([e.label for e in (*examples, *copies)]), probabilities)
    assert {4, 60, 61, 62, 63} <= {i for i, _ in found}


@pytest.mark.parametrize("examples", [planted(set())[:4], [e for e in planted(set()) if e.label < 2], []])
def test_too_few_texts_are_not_judged(examples: list[Example]) -> None:
    assert judged(examples) is None


def test_thresholds_by_hand() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.3, 0.5, 0.2], [0.55, 0.45, 0.0], [0.1, 0.1, 0.8]])
    # Mean probability of their own label: 0.55, 0.475, 0.8. Row 1 passes for 1, row 3 just for 0; row 2 stays.
    assert find(labels, probabilities) == [(1, 1), (3, 0)]
    probabilities[3] = [0.54, 0.45, 0.01]
    assert find(labels, probabilities) == [(1, 1)]  # likelier than its own label, yet not as likely as 0 is for a 0
    # Means of 0.45 for 0 and 0.67 for 1: row 3 is as likely a 0 as others are, yet likelier what it is called.
    probabilities[[0, 2, 3]] = [[0.7, 0.1, 0.2], [0.1, 0.8, 0.1], [0.46, 0.54, 0.0]]
    assert find(labels, probabilities) == [(1, 1)]
    assert find(np.array([0, 0]), np.array([[0.5, 0.4, 0.1], [0.1, 0.8, 0.1]])) == []  # a mood nobody has


def test_a_post_is_named_by_its_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blank = dict.fromkeys(CHUNK_COLUMNS, "")
    rows = [
        {**blank, "board_id": 2294, "post_id": n, "title": "노답", "body": f"{body}"} for n, body in enumerate("가나가")
    ]
    write_csv(labeled_path("0002"), rows, CHUNK_COLUMNS)
    examples = [Example("노답\n가", 2, 1.0, "chunk-0002"), Example("노답\n" + "나" * 99, 2, 1.0, "feedback-0001")]
    probabilities = np.array([[0.8, 0.1, 0.1], [0.7, 0.1, 0.2]])
    labels_known = [*examples, Example("싫다", 0, 1.0, "base")]
    judged = np.vstack([probabilities, [[0.6, 0.2, 0.2]]])
    found = suspect_rows(labels_known, [0, 1, 2], judged)
    assert [(row["row"], row["source"], row["board_id"], row["post_id"]) for row in found] == [
        (0, "chunk-0002", "2294", "2"),  # the later of two posts with this text
        (1, "feedback-0001", "", ""),
    ]
    assert (
        found[0] | {"label": "긍정", "suggested": "부정", "suggested_probability": 0.8, "excerpt": "노답"} == found[0]
    )
    # Of a part of the texts, the row is still that of the whole file.
    assert [row["row"] for row in suspect_rows(labels_known, [1, 2], judged[1:])] == [1]
    labeled_path("0002").unlink()
    with pytest.raises(DataFileError, match="labeled_data_0002"):
        suspect_rows(labels_known, [0, 1, 2], judged)
