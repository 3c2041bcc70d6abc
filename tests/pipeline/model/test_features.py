"""Tokens to numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import DataFileError, write_json
from pipeline.model.features import (
    FEATURES,
    PAD,
    UNKNOWN,
    VOCABULARY_FILE,
    Vocabulary,
    build_vocabulary,
    clip,
    is_outdated,
)
from pipeline.model.ngrams import bags

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


@pytest.mark.parametrize("version", [None, FEATURES - 1, FEATURES + 1, "2"])
def test_a_model_of_other_features_is_refused(tmp_path: Path, version: object) -> None:
    WORDS.save(tmp_path)
    document = json.loads((tmp_path / VOCABULARY_FILE).read_text(encoding="utf-8"))
    assert document.pop("features") == FEATURES
    write_json(tmp_path / VOCABULARY_FILE, document | ({} if version is None else {"features": version}))
    with pytest.raises(
        DataFileError, match=rf"is of features version {version or 1}, this code makes version {FEATURES}"
    ):
        Vocabulary.load(tmp_path)


def test_a_million_tokens_are_encoded_fast_and_many_texts_as_one_by_one() -> None:
    texts = [["노답", "모름"] * n for n in (0, 1, 2, 3, 4, 500_000)]
    together = WORDS.encode(texts)
    for row, tokens in enumerate(texts):
        alone = WORDS.encode([tokens])
        np.testing.assert_array_equal(together[row, : alone.shape[1]], alone[0])
        assert not together[row, alone.shape[1] :].any()


def test_the_bag_that_the_network_reads_is_the_one_that_training_counts() -> None:
    texts, tokens = ["갓겜", "", "노답 패치 노답"], [["갓겜"], [], ["노답", "패치", "노답"]]
    inputs = WORDS.inputs(texts, tokens)
    dense = np.zeros((3, 64), dtype=np.float32)
    for row in range(3):
        np.add.at(dense[row], inputs["bag"][row], inputs["bag_tf"][row])
    np.testing.assert_array_equal(dense, bags(texts, tokens, 64).toarray())
    assert {name: array.dtype.name for name, array in inputs.items()} == {
        "ids": "int32",
        "bag": "int32",
        "bag_tf": "float32",
    }
    assert WORDS.inputs([""], [[]])["bag"].shape == (1, 1)


def test_inputs_of_a_batch_are_the_inputs_of_each_text_padded_with_weight_zero() -> None:
    texts, tokens = ["갓겜", "노답 패치 노답"], [["갓겜"], ["노답", "패치", "노답"]]
    together = WORDS.inputs(texts, tokens)
    for row in range(2):
        alone = WORDS.inputs(texts[row : row + 1], tokens[row : row + 1])
        width = alone["bag"].shape[1]
        np.testing.assert_array_equal(together["bag"][row, :width], alone["bag"][0])
        np.testing.assert_array_equal(together["bag_tf"][row, :width], alone["bag_tf"][0])
        assert not together["bag_tf"][row, width:].any()


def test_a_model_is_outdated_until_a_candidate_of_this_code_was_made(tmp_path: Path) -> None:
    production, candidate = tmp_path / "production", tmp_path / "candidate"
    assert not is_outdated(production, candidate)  # before the first model
    WORDS.save(production)
    assert not is_outdated(production, candidate)
    older = json.loads((production / VOCABULARY_FILE).read_text(encoding="utf-8")) | {"features": FEATURES - 1}
    write_json(production / VOCABULARY_FILE, older)
    assert is_outdated(production, candidate)  # a fresh clone has no candidate
    write_json(candidate / VOCABULARY_FILE, older)
    assert is_outdated(production, candidate)
    WORDS.save(candidate)
    assert not is_outdated(production, candidate)  # the gate did not want it: no new try before something is due
    (production / VOCABULARY_FILE).write_text("[", encoding="utf-8")
    assert not is_outdated(production, candidate)
