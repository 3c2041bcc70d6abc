"""Word vectors: what stands among the same words has a like vector, and the same texts give the same ones."""

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.learn.word_vectors import SPREAD, WINDOW, word_vectors

SUBJECTS, GOOD, BAD = ("보스", "스킬", "직업"), ("최고", "갓"), ("최악", "망")
WORDS = (*SUBJECTS, *GOOD, *BAD, "진짜", "환불", "혼자")


def texts() -> list[list[str]]:
    """Praise and complaint, each with words of its own; 혼자 is always alone."""
    rng = np.random.default_rng(1)
    made: list[list[str]] = []
    for _ in range(300):
        subject = str(rng.choice(SUBJECTS))
        made.append([subject, str(rng.choice(GOOD)), "진짜", "추천"])
        made.append([subject, str(rng.choice(BAD)), "환불", "접는다"])
    return [*made, ["혼자"]]


def test_words_in_the_same_company_are_alike() -> None:
    vectors = word_vectors(texts(), WORDS, 6)
    assert vectors.shape == (len(WORDS), 6)
    assert vectors.dtype == np.float32
    unit = dict(zip(WORDS, vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), strict=True))
    assert unit["최고"] @ unit["갓"] > unit["최고"] @ unit["최악"] + 0.3
    assert unit["최악"] @ unit["망"] > unit["최악"] @ unit["갓"] + 0.3
    assert not unit["혼자"].any()  # no company, no vector
    np.testing.assert_allclose(vectors[:9].std(axis=1, mean=np.zeros((9, 1))), SPREAD, rtol=1e-5)


def test_no_word_is_near_one_of_another_text_or_further_than_the_window() -> None:
    words = ("가", "나")
    assert not word_vectors([["가"], ["나"]] * 5, words, 1).any()
    assert not word_vectors([["가", *["x"] * WINDOW, "나"]] * 5, words, 1).any()
    assert word_vectors([["가", *["x"] * (WINDOW - 1), "나"]] * 5, words, 1).any()


def test_the_nearer_of_two_words_says_more_about_a_third() -> None:
    made = [["보스", "최고", "x", "x", "망"], ["스킬", "최고", "x"], ["직업", "망", "x"]] * 20
    vectors = word_vectors(made, ("보스", "스킬", "직업", "최고", "망"), 4)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.01


def test_the_same_texts_give_the_same_numbers_with_any_number_of_threads() -> None:
    with threadpool_limits(1):
        alone = word_vectors(texts(), WORDS, 6)
    np.testing.assert_array_equal(word_vectors(texts(), WORDS, 6), alone)


def test_few_words_fill_what_they_can() -> None:
    vectors = word_vectors([["가", "나", "다"], ["나", "다"]] * 3, ("가", "나", "다"), 8)
    assert vectors[:, :2].any()
    assert not vectors[:, 2:].any()
    assert word_vectors([], (), 8).shape == (0, 8)
    assert not word_vectors([], ("가",), 8).any()
