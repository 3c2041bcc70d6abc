"""Tokens to numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.features import PAD, UNKNOWN, VOCABULARY_FILE, Vocabulary, bag, build_vocabulary, clip
from pipeline.files import DataFileError

WORDS = Vocabulary("kiwi", 6, 64, ("노답", "갓겜", "패치"))


def test_ids_and_padding() -> None:
    ids = WORDS.encode([["갓겜", "패치", "노답"], ["노답"]])
    assert ids.dtype == np.int32
    assert ids.tolist() == [[3, 4, 2], [2, PAD, PAD]]
    assert WORDS.size == 5
    assert WORDS.encode([["노답"]], 4).tolist() == [[2, 0, 0, 0]]


def test_unknown_and_empty_texts_have_something_to_read() -> None:
    assert WORDS.encode([["모름", "갓겜"], []]).tolist() == [[UNKNOWN, 3], [UNKNOWN, PAD]]
    assert WORDS.encode([[]]).tolist() == [[UNKNOWN]]
    assert WORDS.encode([]).shape == (0, 1)
    assert Vocabulary("kiwi", 6, 64, ()).encode([["갓겜"]]).tolist() == [[UNKNOWN]]


def test_longer_texts_keep_head_and_tail() -> None:
    tokens = [str(i) for i in range(10)]
    assert clip(tokens, 6) == ["0", "1", "2", "3", "8", "9"]
    assert clip(tokens, 10) == tokens
    assert clip(tokens, 1) == ["9"]
    assert [len(clip(tokens, width)) for width in range(1, 12)] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10]
    assert WORDS.encode([["노답"] * 50 + ["갓겜"]]).tolist() == [[2, 2, 2, 2, 2, 3]]
    assert WORDS.encode([["노답"] * 1_000_000]).shape == (1, 6)


def test_the_vocabulary_is_the_most_frequent_then_the_alphabet() -> None:
    tokens = [["나", "다", "가"], ["나", "가", "라"], ["나", "다"]]
    built = build_vocabulary(tokens, tokenizer="okt", max_tokens=9, buckets=64, size=10, min_count=2)
    assert built == Vocabulary("okt", 9, 64, ("나", "가", "다"))
    assert build_vocabulary(tokens, tokenizer="okt", max_tokens=9, buckets=64, size=2, min_count=1).tokens == (
        "나",
        "가",
    )


def test_save_and_load(tmp_path: Path) -> None:
    odd = Vocabulary("kiwi", 6, 64, ("ㅋㅋ", "\n", '"', "=", "😀"))
    odd.save(tmp_path)
    assert Vocabulary.load(tmp_path) == odd
    assert Vocabulary.load(tmp_path).encode([["😀"]]).tolist() == [[6]]
    assert json.loads((tmp_path / VOCABULARY_FILE).read_text(encoding="utf-8"))["tokens"][0] == "ㅋㅋ"


@pytest.mark.parametrize("data", [None, b"", b'{"tokenizer": "kiwi"}', b"[1]", b"\xff", b'{"tokens": ['])
def test_a_broken_file_is_named(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / VOCABULARY_FILE).write_bytes(data)
    with pytest.raises(DataFileError, match=r"vocabulary\.json can't be read .*dvc checkout"):
        Vocabulary.load(tmp_path)


def test_the_bag_holds_characters_within_words_and_morphemes_each_once_with_its_log_frequency() -> None:
    buckets, weights = bag("갓 갓겜", ["갓", "갓겜"], 1 << 20)
    assert len(set(buckets.tolist())) == len(buckets)
    # " 갓 " gives 3 single, 2 double, 1 triple; " 갓겜 " 4, 3, 2, 1; one pair and two single morphemes.
    assert float(np.exp(weights - 1).sum()) == pytest.approx(6 + 10 + 3, rel=1e-4)
    longer, _ = bag("갓 갓겜 갓", ["갓", "갓겜", "갓"], 1 << 20)
    assert set(buckets.tolist()) < set(longer.tolist())
    assert bag("", [], 64)[0].shape == bag("", [], 64)[1].shape == (0,)
    assert len(bag("가나다라마바사 " * 1000, [str(i) for i in range(9000)], 1 << 18)[0]) == 2000


def test_inputs_of_a_batch_are_the_inputs_of_each_text_padded_with_weight_zero() -> None:
    texts, tokens = ["갓겜", "노답 패치 노답"], [["갓겜"], ["노답", "패치", "노답"]]
    together = WORDS.inputs(texts, tokens)
    for row in range(2):
        alone = WORDS.inputs(texts[row : row + 1], tokens[row : row + 1])
        width = alone["bag"].shape[1]
        np.testing.assert_array_equal(together["bag"][row, :width], alone["bag"][0])
        np.testing.assert_array_equal(together["bag_tf"][row, :width], alone["bag_tf"][0])
        assert not together["bag_tf"][row, width:].any()
