"""Near-duplicates find each other, and only each other."""

import time

import numpy as np

from pipeline.learn.duplicates import groups, shingles

LONG = "이번 패치에서 썬콜 상향된 거 보고 복귀했는데 사냥이 너무 쾌적해서 놀랐습니다 다들 돌아오세요"
OTHER = "스타포스 할인 이벤트는 언제 하나요 공지사항을 아무리 찾아봐도 날짜가 안 보여서 질문드립니다"


def test_copies_with_small_changes_share_a_group() -> None:
    numbers = groups([LONG, OTHER, LONG + "!!", LONG.replace(" ", ""), LONG.replace("오세요", "와요"), "짧은 글"])
    assert numbers[0] == numbers[2] == numbers[3] == numbers[4]
    assert len({int(numbers[i]) for i in (0, 1, 5)}) == 3


def test_short_and_wordless_texts_are_told_apart() -> None:
    numbers = groups(["ㅋㅋ", "ㅠㅠ", "ㅋㅋ", "!!!", "???", "", "ㅋㅋ!"])
    assert numbers[0] == numbers[2] == numbers[6]
    assert len({int(numbers[i]) for i in (0, 1, 3, 4, 5)}) == 5


def test_similar_is_eight_tenths_of_the_shingles() -> None:
    letters = "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허고노도로모보소오조초코토포호"
    changed_one = letters[:20] + "끝" + letters[21:]  # 4 of 39 shingles differ: 35 / 43 = 0.81
    changed_two = letters[:10] + "끝" + letters[11:30] + "끝" + letters[31:]  # 31 / 47 = 0.66
    assert len(shingles(letters)) == 39
    assert groups([letters, changed_one]).tolist() == [0, 0]
    assert groups([letters, changed_two]).tolist() == [0, 1]


def test_it_finds_every_one_of_many_pairs() -> None:
    rng = np.random.default_rng(3)
    syllables = [chr(0xAC00 + int(i)) for i in rng.integers(0, 11172, 40 * 300)]
    texts = ["".join(syllables[i * 40 : (i + 1) * 40]) for i in range(300)]
    changed = [text[:-2] + "끝끝" for text in texts]  # 35 shingles shared of 39: 0.9, missed once in 25 million
    numbers = groups([*texts, *changed])
    assert sum(numbers[i] == numbers[i + 300] for i in range(300)) == 300
    assert len(set(numbers.tolist())) == 300


def test_no_texts_and_a_thousand_copies() -> None:
    assert groups([]).tolist() == []
    start = time.perf_counter()
    assert set(groups([LONG] * 1000).tolist()) == {0}
    assert time.perf_counter() - start < 5


def test_the_same_groups_every_time() -> None:
    texts = [LONG, OTHER, LONG + "?", "ㅋㅋ"]
    assert groups(texts).tolist() == groups(texts).tolist()
    assert shingles("가나다라마") == shingles("가나 다라, 마!")
