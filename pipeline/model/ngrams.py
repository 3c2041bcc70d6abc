"""Hashed n-grams of many texts at once: the rows of a sparse matrix, by array arithmetic alone.

Characters 1 to 4 as if there were no spaces (Koreans set them as they like), the same at a word's edges (of
scikit-learn's `char_wb`, those with a space), morphemes single and in pairs. Hashes are polynomials of code points
modulo 2**64, so the same text gives the same buckets on every machine and in every run.
"""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

LONGEST = 4  # characters
_SPACE = ord(" ")
_SLICE = 1 << 16  # code points hashed together: their arrays (about 8 MB) stay in the cache
# Odd 64-bit constants: the golden ratio's for polynomials, those of splitmix64 (Steele et al. 2014) for mixing.
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_PAIR = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


def bags(texts: Sequence[str], tokenised: Sequence[Sequence[str]], buckets: int) -> csr_matrix:
    """1 + log(how often) of every n-gram's bucket, float32 of shape (texts, buckets); column indices ascend.

    `texts` and `tokenised` go together. At most 2**31 buckets. A text has no more than four n-grams a character and
    two a morpheme, so the 4,000 characters that a model reads (`pipeline.text.for_model`) bound a row.
    """
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    start, most = 0, (1 << 32) // buckets  # rows whose keys fit into 32 bits
    while start < len(texts):
        stop, size = start, 0
        while stop < len(texts) and stop - start < most and (stop == start or size + len(texts[stop]) <= _SLICE):
            size += len(texts[stop])
            stop += 1
        parts.append(_count(texts[start:stop], tokenised[start:stop], buckets))
        start = stop
    if not parts:
        return csr_matrix((0, buckets), dtype=np.float32)
    sizes, indices, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    values = np.log(counts.astype(np.float32)) + np.float32(1)
    return csr_matrix((values, indices, starts), shape=(len(texts), buckets))


def _count(
    texts: Sequence[str], tokenised: Sequence[Sequence[str]], buckets: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each text how many buckets it fills; the buckets (int32), ascending in each text; how often each."""
    found = [*_characters(texts), *_morphemes(tokenised)]
    rows = np.concatenate([row for row, _ in found])
    hashes = np.concatenate([value for _, value in found])
    keys = _bucket(hashes, buckets)
    keys += rows * np.uint32(buckets)
    keys.sort()
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
    counts = np.diff(np.append(first, len(keys)))
    distinct = keys[first]
    owner = distinct // np.uint32(buckets)
    indices = (distinct - owner * np.uint32(buckets)).astype(np.int32)
    return np.bincount(owner, minlength=len(texts)), indices, counts


def _characters(texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Text number (uint32) and hash (uint64) of every run of 1 to 4 characters, and of those at a word's edge."""
    padded = [f" {' '.join(text.split())} " for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    rows = np.repeat(np.arange(len(texts), dtype=np.uint32), [len(text) for text in padded])
    space = codes == _SPACE
    letters, owners = codes[~space], rows[~space]
    found = [(owners, _kind(letters, 1))]
    runs, edged, between = letters, codes, np.ones(len(codes), dtype=bool)
    for length in range(2, LONGEST + 1):
        last = length - 1
        runs = runs[:-1] * _BASE + letters[last:]
        within = owners[: len(runs)] == owners[last:]
        found.append((owners[: len(runs)][within], _kind(runs[within], length)))
        # At an edge: a space at one end or at both, none between. Two texts meet in two spaces, which are no run.
        edged = edged[:-1] * _BASE + codes[last:]
        between = between[:-1] if length == 2 else between[:-1] & ~space[last - 1 : -1]
        first, end = space[: len(edged)], space[last:]
        kept = between & ((first ^ end) if length == 2 else (first | end))
        found.append((rows[: len(edged)][kept], _kind(edged[kept], length)))
    return found


def _morphemes(tokenised: Sequence[Sequence[str]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Text number (uint32) and hash (uint64) of every morpheme, and of every two that follow each other."""
    tokens = [token for row in tokenised for token in row]
    if not tokens:
        return []
    rows = np.repeat(np.arange(len(tokenised), dtype=np.uint32), [len(row) for row in tokenised])
    # A line break ends each token, so that none is empty: reduceat would read the next one's start.
    codes = np.frombuffer(("\n".join(tokens) + "\n").encode("utf-32-le", "surrogatepass"), dtype="<u4")
    lengths = np.fromiter(map(len, tokens), dtype=np.int64, count=len(tokens)) + 1
    starts = np.cumsum(lengths) - lengths
    place = np.arange(len(codes)) - np.repeat(starts, lengths)
    powers = np.cumprod(np.full(int(lengths.max()), _BASE, dtype=np.uint64))
    hashes = _mixed(np.add.reduceat(codes.astype(np.uint64) * powers[place], starts))
    together = rows[1:] == rows[:-1]
    pairs = hashes[:-1][together] * _PAIR + hashes[1:][together]
    return [(rows, _kind(hashes, LONGEST + 1)), (rows[1:][together], _kind(pairs, LONGEST + 2))]


def _kind(hashes: np.ndarray, number: int) -> np.ndarray:
    """The hashes of one kind of n-gram, apart from those of the others."""
    return hashes ^ np.uint64(number * int(_MIX_2) % 2**64)


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """Every bit of a hash spread over all of it."""
    mixed = (hashes ^ (hashes >> np.uint64(31))) * _MIX_1
    mixed ^= mixed >> _HALF
    mixed *= _MIX_2
    return np.asarray(mixed)


def _bucket(hashes: np.ndarray, buckets: int) -> np.ndarray:
    """The upper half of the mixed hash, scaled to 0 … buckets - 1 (Lemire 2019, arXiv 1805.10941); uint32."""
    return (((_mixed(hashes) >> _HALF) * np.uint64(buckets)) >> _HALF).astype(np.uint32)
