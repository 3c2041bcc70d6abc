"""Tokens of texts that were read before, kept across runs: a chunk in the window is tokenised once, not every time.

Tokenising is the slow part of reading text (about 1.2 ms a post, the look-up 0.02 ms), and a training reads the same
window, gold and base texts as the one before. One SQLite file holds the tokens under the SHA-256 of everything that
decides them, so a hit is what the tokenizer would say. It is a cache and nothing else: a broken file is thrown away,
one that can't be read or written is done without.
"""

import contextlib
import hashlib
import json
import sqlite3
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.text import Tokenizer, fingerprint, for_model, tokenizer

CACHE = Path(".cache/tokens.sqlite")
LIMIT = 200_000  # texts, about 60 MB; a window of 20 chunks with as many base texts is 40,000
_AT_ONCE = 500  # keys in one question
_TIMEOUT = 10.0  # seconds that another process may keep the file
# Locked, full, read-only: the file is good, only not for us now. Anything else means that it can't be used at all.
_NOT_NOW = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
}

_TABLE = (
    "CREATE TABLE IF NOT EXISTS tokens (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, tokens BLOB NOT NULL)"
)
_PRUNE = "DELETE FROM tokens WHERE number <= (SELECT max(number) FROM tokens) - ?"


class CachedTokenizer:
    """The tokenizer of that name, asked only for texts that it has not seen; it is loaded when it is first asked.

    At most `limit` texts are kept, the newest. Safe for several threads and processes.
    """

    def __init__(self, name: str, path: Path = CACHE, limit: int = LIMIT) -> None:
        self.name = name
        self._path, self._limit = path, limit
        self._fingerprint = fingerprint(name)
        self._lock = threading.Lock()
        self._tokenizer: Tokenizer | None = None

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        return self.split([for_model(text) for text in texts])

    def split(self, cleaned: Sequence[str]) -> list[list[str]]:
        """Tokens of texts as `for_model` gives them."""
        keys = [self._key(text) for text in cleaned]
        known = self._read(list(dict.fromkeys(keys)))
        missing = {key: text for key, text in zip(keys, cleaned, strict=True) if key not in known}
        if missing:
            fresh = dict(zip(missing, self._real().split(list(missing.values())), strict=True))
            self._write(fresh)
            known |= fresh
        return [list(known[key]) for key in keys]

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._fingerprint}\n{text}".encode("utf-8", "surrogatepass")).digest()

    def _real(self) -> Tokenizer:
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = tokenizer(self.name)
            return self._tokenizer

    def _read(self, keys: list[bytes]) -> dict[bytes, list[str]]:
        known: dict[bytes, list[str]] = {}

        def read(connection: sqlite3.Connection) -> None:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = connection.execute(f"SELECT key, tokens FROM tokens WHERE key IN ({marks})", some)  # noqa: S608
                known.update((key, tokens) for key, data in rows if (tokens := _unpacked(data)) is not None)

        self._use(read)
        return known

    def _write(self, fresh: dict[bytes, list[str]]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            rows = [(key, _packed(tokens)) for key, tokens in fresh.items()]
            connection.executemany("INSERT OR REPLACE INTO tokens (key, tokens) VALUES (?, ?)", rows)
            connection.execute(_PRUNE, (self._limit,))

        self._use(write)

    def _use(self, action: Callable[[sqlite3.Connection], None]) -> None:
        """Do it in one transaction. What goes wrong with the file ends it in silence: see the module's words."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self._path, timeout=_TIMEOUT)) as connection, connection:
                connection.execute(_TABLE)
                action(connection)
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the extended codes' family
            if code not in _NOT_NOW:
                with contextlib.suppress(OSError):
                    self._path.unlink()
        except OSError:
            pass  # no folder for it


def _packed(tokens: list[str]) -> bytes:
    """JSON, with its check sum in front: SQLite has none."""
    data = json.dumps(tokens, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return zlib.crc32(data).to_bytes(4, "big") + data


def _unpacked(data: object) -> list[str] | None:
    """The tokens; None when a bit has flipped."""
    if not isinstance(data, bytes) or zlib.crc32(data[4:]).to_bytes(4, "big") != data[:4]:
        return None
    tokens: list[str] = json.loads(data[4:].decode("utf-8", "surrogatepass"))
    return tokens
