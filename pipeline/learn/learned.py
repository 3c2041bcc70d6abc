"""Learned: what a model and those it went on from have learned, so that no text they know is taken for a test.

A warm start carries traces of texts that left the window long ago, and a text may become gold after it was learned.
So each model's folder holds a signature of every text that was learned, and a warm start passes them on. A signature
tells near-duplicates, and no text can be read from it.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.files import DataFileError, write_bytes
from pipeline.hashing import content_hash
from pipeline.learn import duplicates
from pipeline.learn.examples import Example

LEARNED_FILE = "learned.npy"
LIMIT = 200_000  # texts, the newest: 14 MB
# A signature keeps 8 bits of each of its 64 values. Of two texts with a similarity of 0.8, 51 values agree (standard
# deviation 3); of two unlike ones less than one does.
_AGREE = 45
_KEY = 8  # bytes


@dataclass(frozen=True)
class Learned:
    """`keys`, uint64 (texts,), tell text and label; `signatures`, uint8 (texts, 64), the oldest first."""

    keys: np.ndarray
    signatures: np.ndarray

    @classmethod
    def none(cls) -> "Learned":
        """Nothing is learned yet."""
        return cls(np.zeros(0, dtype=np.uint64), np.zeros((0, duplicates.PLACES), dtype=np.uint8))

    @classmethod
    def load(cls, folder: Path) -> "Learned":
        """From a model's folder; nothing where an older release has not noted it. Raises DataFileError."""
        path = folder / LEARNED_FILE
        try:
            rows = np.load(path, allow_pickle=False)
            keys = np.ascontiguousarray(rows[:, :_KEY]).view(np.uint64).ravel()
            return cls(keys, rows[:, _KEY:].reshape(len(rows), duplicates.PLACES))
        except FileNotFoundError:
            return cls.none()
        except (OSError, ValueError, IndexError, TypeError) as error:
            raise DataFileError(f"{path} can't be read ({error}): `dvc checkout {folder}` restores it") from None

    def save(self, folder: Path) -> None:
        """Write `learned.npy`: the same texts, the same bytes."""
        buffer = io.BytesIO()
        np.save(buffer, np.hstack([self.keys[:, None].view(np.uint8), self.signatures]), allow_pickle=False)
        write_bytes(folder / LEARNED_FILE, buffer.getvalue())

    def __len__(self) -> int:
        return len(self.keys)

    def adding(self, examples: Sequence[Example], limit: int = LIMIT) -> "Learned":
        """The same with these examples; of more than `limit` the newest."""
        fresh = {_key(example): example.text for example in examples}
        new = [key for key, known in zip(fresh, self.has_keys(list(fresh)), strict=True) if not known]
        found = _signatures([fresh[key] for key in new])
        keys = np.concatenate([self.keys, np.array(new, dtype=np.uint64)])
        return Learned(keys[-limit:], np.concatenate([self.signatures, found])[-limit:])

    def has(self, examples: Sequence[Example]) -> np.ndarray:
        """Which of these texts were learned with just this label, bool (examples,)."""
        return self.has_keys([_key(example) for example in examples])

    def has_keys(self, keys: Sequence[int]) -> np.ndarray:
        """Which of these keys are known, bool (keys,)."""
        return np.isin(np.array(keys, dtype=np.uint64), self.keys)

    def resembles(self, texts: Sequence[str]) -> np.ndarray:
        """Which texts are near-duplicates of something learned, bool (texts,)."""
        found = np.zeros(len(texts), dtype=bool)
        if not len(texts) or not len(self):
            return found
        wanted = _signatures(texts)
        for band in range(duplicates.BANDS):
            known, asked = _band(self.signatures, band), _band(wanted, band)
            order = np.argsort(known, kind="stable")
            first = np.searchsorted(known, asked, side="left", sorter=order)
            last = np.searchsorted(known, asked, side="right", sorter=order)
            for i in np.flatnonzero(~found & (last > first)).tolist():
                rows = self.signatures[order[first[i] : last[i]]]
                found[i] = bool(((rows == wanted[i]).sum(axis=1) >= _AGREE).any())
        return found


def _key(example: Example) -> int:
    return int(content_hash(f"{example.label}\n{example.text}")[: 2 * _KEY], 16)


def _signatures(texts: Sequence[str]) -> np.ndarray:
    return duplicates.signatures([duplicates.shingles(text) for text in texts]).astype(np.uint8)


def _band(signatures: np.ndarray, band: int) -> np.ndarray:
    """One number for each signature's values in a band, uint32 (texts,)."""
    part = signatures[:, band * duplicates.ROWS : (band + 1) * duplicates.ROWS]
    return np.ascontiguousarray(part).view(np.uint32).ravel()
