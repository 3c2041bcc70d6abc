"""One normal form for Korean text, and tokens of it."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import text as module
from pipeline.boards import JOBS
from pipeline.files import DataFileError
from pipeline.text import DICTIONARY, fingerprint, for_model, join_post, keywords, normalise, slang, tokenizer


def test_nfc_composes_and_never_nfkc() -> None:
    assert normalise(unicodedata.normalize("NFD", "메이플")) == "메이플"
    assert normalise("ㅋㅋㅠㅠ ㄹㅇ ①② ﬁ Ａ") == "ㅋㅋㅠㅠ ㄹㅇ ①② ﬁ Ａ"  # NFKC changes every one of these
    assert [ord(c) for c in normalise("ㅋㅠ")] == [0x314B, 0x3160]


def test_white_space_is_folded_and_lines_are_kept_once() -> None:
    assert normalise("  a\t\u00a0\u3000b \r\n\r\n \n c\rd  ") == "a b\nc\nd"
    assert normalise(" \n\t ") == ""


def test_hostile_text_becomes_harmless() -> None:
    assert normalise("a\0b\x1b[31m\ud800c\udfff\u202e\u200bd\ufeff\x85") == "ab[31mcd"
    assert normalise("\0\ud83d\u2060") == ""
    assert normalise("😀 갓겜") == "😀 갓겜"


@pytest.mark.timeout(20)
def test_a_megabyte_is_read_and_the_model_reads_its_ends() -> None:
    assert len(normalise("ㅋ" * 1_000_000)) == 1_000_000
    assert normalise(" \n" * 500_000) == ""
    assert normalise("a" + " " * 1_000_000 + "b") == "a b"
    assert for_model("ㅋ" * 1_000_000) == "ㅋㅋ ㅋㅋ"
    assert for_model("처음 " + "가나" * 500_000 + " 끝").startswith("처음 가나")
    assert for_model("처음 " + "가나" * 500_000 + " 끝").endswith("가나 끝")
    assert len(for_model("가나" * 500_000)) == 4001


@given(st.text())
def test_normal_form_is_stable_and_storable(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == once.strip()
    once.encode("utf-8")
    assert "\0" not in once
    assert "\r" not in once


@pytest.mark.parametrize("text", ["e\u200b\u0301", "\u1100\0\u1161", "ㅋ\u200dㅋ"])
def test_what_an_invisible_character_keeps_apart_is_composed(text: str) -> None:
    assert unicodedata.is_normalized("NFC", normalise(text))


def test_join_post() -> None:
    assert join_post(" 제목 ", "본문\n\n둘째 ") == "제목\n본문\n둘째"
    assert join_post("제목만", "") == "제목만"


def test_for_model_cuts_repetition_and_addresses() -> None:
    assert for_model("ㅋㅋㅋㅋㅋㅋ 와!!!!! 하하") == "ㅋㅋ 와!! 하하"
    assert for_model("보세요 https://a.b/c?d=ㅋ 그리고 www.x.y").split() == ["보세요", "URL", "그리고", "URL"]


def test_nicknames_become_a_token_and_nothing_else_with_that_sign() -> None:
    assert for_model("@메이플러12 님 고마워요 (@abc_d)").split() == ["NICK", "님", "고마워요", "(", "NICK", ")"]
    kept = "a@b.co @@ 보공@방무 @ 3페 @a"
    assert for_model(kept) == kept
    assert keywords(["@메이플러12 https://inven.co.kr"]) == [[]]


def test_an_emoji_is_one_sign_in_every_colour_and_keeps_its_mood() -> None:
    assert for_model("👍🏻👍 ❤️ ♡ 💜") == "👍👍 ♥ ♥ ♥"
    assert for_model("😡 😀 💔 ★ ㅠㅠ ㅋㅋ ^^ (´・ω・`)") == "😡 😀 💔 ★ ㅠㅠ ㅋㅋ ^^ (´・ω・`)"
    found = tokenizer("kiwi")(["갓겜 😀😀😀 ♡♡♡"])[0]
    assert "😀" in found
    assert "♥♥" in found


@given(st.text("가ㅋ @a.:/htpsw\n♡👍🏻e\u0301", max_size=40))
def test_what_the_model_reads_is_never_more_than_squeezed(text: str) -> None:
    read = for_model(text)
    assert not any(a == b == c != " " for a, b, c in zip(read, read[1:], read[2:], strict=False))
    assert len(read) <= 3 * len(text) + 5


def test_kiwi_splits_in_order_and_keeps_slang_whole() -> None:
    split = tokenizer("kiwi")
    tokens = split(["썬콜 노답이네 ㅋㅋㅋㅋ", "", "갓패치 떡락"])
    assert split.name == "kiwi"
    assert {"썬콜", "노답", "ㅋㅋ"} <= set(tokens[0])
    assert tokens[1] == []
    assert tokens[2] == ["갓패치", "떡락"]
    assert split(["노답\0이네"]) == split(["노답이네"])
    assert split.split(["노답이네", "갓패치 떡락"]) == split(["노답이네", "갓패치 떡락"])


def test_kiwi_keeps_every_word_of_the_dictionary_whole() -> None:
    split = tokenizer("kiwi")
    words = [word.word for word in slang()]
    for frame in ("{} 상향 좀", "이번 {}"):
        found = split([frame.format(word) for word in words])
        # Kiwi writes the name of one job with a space of its own.
        lost = [w for w, tokens in zip(words, found, strict=True) if w not in [t.replace(" ", "") for t in tokens]]
        assert lost == []
    assert split(["카링 3페 홀심 보공 극딜 리마스터 상향 억까"]) == [
        ["카링", "3페", "홀심", "보공", "극딜", "리마스터", "상향", "억까"]
    ]
    assert "하" in split(["하세요"])[0][0]  # and ordinary words beside them
    assert split(["레전드"]) == [["레전드"]]


@pytest.mark.slow
def test_okt_stems_takes_empty_text_and_knows_the_same_slang(capfd: pytest.CaptureFixture[str]) -> None:
    split = tokenizer("okt")
    tokens = split(["버그가 너무 많았다", "", "썬콜 노답이네 갓패치 떡락 억까"])
    assert split.name == "okt"
    assert "많다" in tokens[0]
    assert tokens[1] == []
    assert {"썬콜", "노답", "갓패치", "떡락", "억까"} <= set(tokens[2])  # without the dictionary: 써다, 콜, 갓, 패치 …
    words = [word.word for word in slang()]
    found = split([f"이번 {word}" for word in words])
    lost = [word for word, tokens in zip(words, found, strict=True) if word not in tokens]
    assert lost == ["1페", "2페", "3페", "4페"]  # to Okt a number is a token of its own, dictionary or not
    assert capfd.readouterr().err == ""


def test_an_unknown_tokenizer_names_the_choices() -> None:
    with pytest.raises(ValueError, match="'mecab'; choose one of kiwi, okt"):
        tokenizer("mecab")


def test_keywords_are_topics_each_once_in_canonical_form() -> None:
    found = keywords(["밸패 밸패 했는데 버그가 많다 https://inven.co.kr", "", "ㅋㅋㅋㅋ"])
    assert found[0].count("밸런스패치") == 1
    assert "밸패" not in found[0]
    assert {"버그", "많다"} <= set(found[0])
    assert "URL" not in found[0]
    assert found[1:] == [[], []]


def test_dictionary_is_well_formed() -> None:
    words = slang()
    assert len(words) > 50
    assert len({word.word for word in words}) == len(words)
    assert all(word.word == normalise(word.word) for word in words)


def test_a_malformed_dictionary_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "slang.tsv"
    header = DICTIONARY.read_text(encoding="utf-8").splitlines()[0]
    path.write_text(f"{header}\n썬콜\tNNP\t썬콜\tjob\n두개\tNNG\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=r"slang\.tsv, line 3: 2 field\(s\), but the header has 4"):
        slang(path)
    path.write_text(f"{header}\n썬콜\tNNP\t\tjob\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=r"slang\.tsv, line 2: every field"):
        slang(path)
    path.write_text("썬콜\tNNP\t썬콜\tjob\n", encoding="utf-8")  # no header: the first word would be lost
    with pytest.raises(DataFileError, match=r"slang\.tsv lacks the column\(s\) word, tag, canonical, group"):
        slang(path)


def test_a_tag_that_kiwi_does_not_know_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "slang.tsv"
    path.write_text("word\ttag\tcanonical\tgroup\n썬콜\tNNX\t썬콜\tjob\n", encoding="utf-8")
    monkeypatch.setattr(module, "DICTIONARY", path)
    monkeypatch.setattr(module, "slang", lambda: slang(path))
    module._kiwi.cache_clear()
    try:
        with pytest.raises(DataFileError, match=r"slang\.tsv: 썬콜 can't be added .*NNX"):
            tokenizer("kiwi")
    finally:
        module._kiwi.cache_clear()


def test_job_names_of_the_dictionary_are_those_of_the_boards() -> None:
    names = {alias.replace(" ", ""): job.name for job in JOBS for alias in (job.name, *job.aliases)}
    jobs = {word.word: word.canonical for word in slang() if word.group == "job"}
    assert jobs == {word: names[word] for word in jobs}
    # Left out: what is part of ordinary words (팔라고, 새도 없이, 메세지, 7달라라, 나키시 …).
    missing = {name for name in names if name.isalpha() and len(name) > 1} - set(jobs)
    assert missing == {"팔라", "새도", "메세", "키시", "라라", "키네"}
    # A nickname that is an ordinary word too says a job here, not on the boards: titles are read more strictly.
    ordinary = {word.word: word.canonical for word in slang() if word.group == "nickname"}
    assert set(ordinary.values()) <= {job.name for job in JOBS}
    assert not set(ordinary) & set(names)


def test_the_fingerprint_is_of_all_that_decides_the_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fingerprint("kiwi") == fingerprint("kiwi") != fingerprint("okt")
    before = fingerprint("kiwi")
    changed = tmp_path / "slang.tsv"
    changed.write_bytes(DICTIONARY.read_bytes() + "새말\tNNG\t새말\tmood\n".encode())
    monkeypatch.setattr(module, "DICTIONARY", changed)
    assert fingerprint("kiwi") != before
    monkeypatch.undo()
    monkeypatch.setattr(module, "package_version", lambda name: f"99 of {name}")
    assert fingerprint("kiwi") != before
