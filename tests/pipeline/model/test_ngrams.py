"""Hashed n-grams: which there are, how often, and the same ones everywhere."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.ngrams import bags
from pipeline.text import for_model

MANY = 1 << 30  # so many buckets that two n-grams of a test do not meet
EXPECTED = [
    11559,
    16979,
    35727,
    49756,
    51244,
    65499,
    72320,
    89385,
    107226,
    120037,
    145660,
    150777,
    163562,
    166924,
    167195,
    167771,
    168121,
    168773,
    187171,
    190558,
    198908,
    201099,
    214151,
    219260,
    221335,
    229976,
    242205,
    250094,
    254653,
]  # buckets of the text below, as first computed: a change makes every model unreadable


def by_hand(text: str, tokens: list[str]) -> Counter[tuple[str, ...]]:
    """The n-grams of a text, one after the other."""
    grams: Counter[tuple[str, ...]] = Counter()
    run = "".join(text.split())
    for n in range(1, 5):
        grams.update(("c", run[k : k + n]) for k in range(len(run) - n + 1))
    for word in text.split():
        padded = f" {word} "
        for n in range(2, 5):
            found = [padded[k : k + n] for k in range(len(padded) - n + 1)]
            grams.update(("c", gram) for gram in found if " " in gram)
    grams.update(("m", token) for token in tokens)
    grams.update(("b", *pair) for pair in pairwise(tokens))
    return grams


@given(
    st.lists(
        st.tuples(
            st.text("가나다 \n😀a", max_size=30), st.lists(st.text("가나다a", min_size=1, max_size=3), max_size=8)
        ),
        max_size=6,
    )
)
def test_every_ngram_counts_once_with_its_log_frequency(rows: list[tuple[str, list[str]]]) -> None:
    found = bags([text for text, _ in rows], [tokens for _, tokens in rows], MANY)
    assert found.shape == (len(rows), MANY)
    for i, (text, tokens) in enumerate(rows):
        expected = sorted(1 + math.log(n) for n in by_hand(text, tokens).values())
        np.testing.assert_allclose(sorted(found[i].data), expected, rtol=1e-6)
        assert (np.diff(found[i].indices) > 0).all()


def test_kinds_places_and_order_are_told_apart() -> None:
    def one(text: str, *tokens: str) -> set[int]:
        return set(bags([text], [tokens], MANY).indices.tolist())

    assert len(one("가나")) == len(one("나가")) == 2 + 3 + 2 + 1  # 가 나 | _가 가나 나_ | _가나 가나_ | _가나_
    assert len(one("가나") & one("나가")) == 2  # the characters alone
    assert len(one("가나") & one("가 나")) == 5  # the run too, the first one's beginning, the last one's end
    assert len(one("가나 다") & one("가 나다")) == 6 + 2  # one run, however it is spaced | _가 다_
    assert not one("가") & one("", "가")  # a character is no morpheme
    assert one("", "가", "나") - one("", "나", "가")  # pairs have an order
    assert not one("", "가나") & one("", "가", "나")
    assert one("가  \n나") == one("가 나")


def test_the_same_buckets_on_every_machine_and_in_every_run() -> None:
    found = bags(["갓겜 ㅋㅋ😀", ""], [["갓겜", "ㅋㅋ", "😀"], []], 1 << 18)
    assert found.indices.tolist() == EXPECTED
    assert found.indptr.tolist() == [0, len(EXPECTED), len(EXPECTED)]
    assert found.data.dtype == np.float32
    assert found.indices.dtype == np.int32


@pytest.mark.parametrize("buckets", [1, 7, 64, 1 << 18, (1 << 18) + 1, 1 << 31])
def test_a_text_has_the_same_row_alone_and_among_many(buckets: int) -> None:
    texts = [" ".join(["가나다라마바사"[i % 7 :]] * (i % 40)) for i in range(300)]
    tokens = [text.split()[: i % 9] for i, text in enumerate(texts)]
    together = bags(texts, tokens, buckets)
    assert together.shape == (300, buckets)
    assert together.nnz == 0 or together.indices.max() < buckets
    for i in range(0, 300, 23):
        alone = bags(texts[i : i + 1], tokens[i : i + 1], buckets)
        np.testing.assert_array_equal(alone.indices, together[i].indices)
        np.testing.assert_array_equal(alone.data, together[i].data)


def test_buckets_fill_evenly() -> None:
    texts = [f"{i} 번째" for i in range(4000)]
    filled = np.bincount(bags(texts, [[str(i)] for i in range(4000)], 1 << 14).indices, minlength=1 << 14)
    distinct = len(set(bags(texts, [[str(i)] for i in range(4000)], MANY).indices.tolist()))
    expected = (1 << 14) * (1 - math.exp(-distinct / (1 << 14)))  # of distinct balls thrown at random
    assert (filled > 0).sum() == pytest.approx(expected, rel=0.03)


@pytest.mark.timeout(20)
def test_hostile_texts_stay_bounded() -> None:
    hostile = [
        for_model(text) for text in ("가" * 10**6, " ".join(map(str, range(10**5))), "@ab" * 10**5, "", "\ud800")
    ]
    tokens = [list(text) for text in hostile]
    found = bags(hostile, tokens, 1 << 18)
    sizes = np.diff(found.indptr)
    bound = [4 * (len(text) + 1) + 2 * len(row) for text, row in zip(hostile, tokens, strict=True)]
    assert (sizes <= bound).all()
    assert sizes.max() < 26_000
    assert bags([], [], 64).shape == (0, 64)
    assert bags(["", " \n "], [[], []], 64).nnz == 0
    assert bags(["\ud800"], [["\udfff"]], 64).nnz > 0  # a lone surrogate is a character like any other
