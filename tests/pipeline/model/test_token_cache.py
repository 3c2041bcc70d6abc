"""Tokens kept across runs are the tokens that the tokenizer gives, whatever becomes of the file."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import text
from pipeline.model import token_cache
from pipeline.model.token_cache import CachedTokenizer
from pipeline.text import for_model, tokenizer

TEXTS = [
    "썬콜 노답이네 ㅋㅋㅋㅋ",
    "",
    "갓패치 떡락",
    '"따옴표" 😀❤️ \n줄',
    "ㅋ" * 5000,
    "썬콜 노답이네 ㅋㅋㅋㅋ",
    "a\0b\ud800",
]


@pytest.fixture(scope="module")
def expected() -> list[list[str]]:
    return tokenizer("kiwi")(TEXTS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "tokens.sqlite"


def rows(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM tokens").fetchone()[0])
    finally:
        connection.close()


def asked(cached: CachedTokenizer) -> bool:
    """Whether the real tokenizer had to be loaded."""
    return cached._tokenizer is not None


def test_known_texts_are_not_tokenised_again(path: Path, expected: list[list[str]]) -> None:
    first = CachedTokenizer("kiwi", path)
    assert first.name == "kiwi"
    assert first(TEXTS) == expected
    assert asked(first)
    second = CachedTokenizer("kiwi", path)
    assert second(TEXTS) == expected
    assert second.split([for_model(text) for text in TEXTS]) == expected
    assert second([]) == []
    assert not asked(second)
    assert second(["새로운 글", *TEXTS])[1:] == expected
    assert asked(second)
    assert rows(path) == len({for_model(text) for text in TEXTS}) + 1


def test_a_caller_may_change_what_it_got(path: Path, expected: list[list[str]]) -> None:
    cached = CachedTokenizer("kiwi", path)
    found = cached(TEXTS)
    found[0].clear()
    assert found[5] == expected[5]
    assert cached(TEXTS) == expected


def test_another_dictionary_or_tokenizer_is_another_key(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    CachedTokenizer("kiwi", path)(TEXTS[:1])
    keys = {CachedTokenizer(name, path)._key("썬콜") for name in ("kiwi", "okt")}
    changed = tmp_path / "slang.tsv"
    changed.write_bytes(text.DICTIONARY.read_bytes() + "새말\tNNG\t새말\tmood\n".encode())
    monkeypatch.setattr(text, "DICTIONARY", changed)
    keys.add(CachedTokenizer("kiwi", path)._key("썬콜"))
    assert len(keys) == 3
    cached = CachedTokenizer("kiwi", path)
    cached(TEXTS[:1])
    assert asked(cached)


@pytest.mark.parametrize("damage", ["empty", "garbage", "half", "another table", "a flipped bit", "not tokens"])
def test_a_broken_file_is_thrown_away(path: Path, expected: list[list[str]], damage: str) -> None:
    CachedTokenizer("kiwi", path)([*TEXTS, *(f"글 {i}" for i in range(300))])
    data = path.read_bytes()
    if damage in ("empty", "garbage", "half"):
        path.write_bytes({"empty": b"", "garbage": b"no database " * 900, "half": data[: len(data) // 2]}[damage])
    else:
        with sqlite3.connect(path) as connection:
            if damage == "another table":
                connection.executescript("DROP TABLE tokens; CREATE TABLE tokens (a)")
            elif damage == "not tokens":
                connection.execute("UPDATE tokens SET tokens = 7")
            else:
                for number, value in connection.execute("SELECT number, tokens FROM tokens").fetchall():
                    flipped = value[:-2] + bytes([value[-2] ^ 1]) + value[-1:]
                    connection.execute("UPDATE tokens SET tokens = ? WHERE number = ?", (flipped, number))
        connection.close()
    cached = CachedTokenizer("kiwi", path)
    assert cached(TEXTS) == expected
    assert asked(cached)
    CachedTokenizer("kiwi", path)(TEXTS)  # the damage may have shown only when it was written to
    mended = CachedTokenizer("kiwi", path)
    assert mended(TEXTS) == expected
    assert not asked(mended)


def test_the_oldest_texts_are_forgotten(path: Path) -> None:
    cached = CachedTokenizer("kiwi", path, limit=10)
    for i in range(25):
        cached([f"글 {i}"])
    assert rows(path) == 10
    newest = CachedTokenizer("kiwi", path, limit=10)
    newest([f"글 {i}" for i in range(15, 25)])
    assert not asked(newest)
    newest([f"다른 글 {i}" for i in range(100)])
    assert rows(path) == 10


def test_a_file_that_another_process_keeps_is_done_without_and_stays(
    path: Path, expected: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_cache, "_TIMEOUT", 0.05)
    CachedTokenizer("kiwi", path)(TEXTS)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    cached = CachedTokenizer("kiwi", path)
    assert cached(TEXTS) == expected
    assert asked(cached)
    other.execute("ROLLBACK")
    other.close()
    after = CachedTokenizer("kiwi", path)
    assert after(TEXTS) == expected
    assert not asked(after)


def test_where_no_file_can_be_there_is_none(tmp_path: Path, expected: list[list[str]]) -> None:
    (tmp_path / "file").touch()
    assert CachedTokenizer("kiwi", tmp_path / "file" / "tokens.sqlite")(TEXTS) == expected
    (tmp_path / "folder").mkdir()
    assert CachedTokenizer("kiwi", tmp_path / "folder")(TEXTS) == expected
    assert (tmp_path / "folder").is_dir()


def test_many_that_write_at_once_lose_nothing(path: Path) -> None:
    start = threading.Barrier(4)

    def work(worker: int) -> list[list[str]]:
        cached = CachedTokenizer("kiwi", path)  # a connection of its own, as a process has
        start.wait()
        return [tokens for i in range(10) for tokens in cached([f"글 {worker % 2} {i}"])]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    assert found[0] == found[2] == tokenizer("kiwi")([f"글 0 {i}" for i in range(10)])
    assert rows(path) == 20
