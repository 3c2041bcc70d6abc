"""Hashes, and lots drawn by them: the same text draws the same lot, whatever stands around it."""

import hashlib
from pathlib import Path


def content_hash(text: str) -> str:
    """SHA-256 of the text in UTF-8, as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def position(text: str, salt: str) -> float:
    """A number in [0, 1) that depends on the text and the salt alone."""
    digest = hashlib.sha256(f"{salt}\n{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def fold_of(text: str, folds: int) -> int:
    """The fold of a text in a cross-validation, 0 to `folds` - 1: it stays there when other texts are added."""
    return int(content_hash(text)[:8], 16) % folds
