"""Near-duplicates: groups of texts that say the same with small changes, so that no split tears them apart.

MinHash with banding (Broder 1997; Leskovec et al., Mining of Massive Datasets, ch. 3) proposes pairs of texts,
the Jaccard similarity of their character 4-grams decides.
"""

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SIMILAR = 0.8  # Jaccard similarity from which two texts count as the same
_SHINGLE = 4
BANDS, ROWS = 16, 4  # proposes 99.9 % of pairs at similarity 0.8: 1 - (1 - 0.8**4)**16
PLACES = BANDS * ROWS
_NOT_WORDS = re.compile(r"[\W_]+")


def shingles(text: str) -> frozenset[int]:
    """Hashes of the 4-grams of a text's letters and digits (of the whole when it is shorter)."""
    letters = _NOT_WORDS.sub("", text.lower()) or text
    return frozenset(zlib.crc32(letters[i : i + _SHINGLE].encode()) for i in range(max(1, len(letters) - _SHINGLE + 1)))


def signatures(sets: Sequence[frozenset[int]]) -> np.ndarray:
    """MinHash signatures of sets of shingles, uint64 of shape (sets, 64).

    The share of places in which two agree estimates the Jaccard similarity of their sets.
    """
    rng = np.random.default_rng(0)
    # Multiply-shift hashing (Dietzfelbinger et al. 1997): odd 64-bit factors, overflow wanted, the high half kept.
    # Factors too small to overflow would let one shingle be the least under every function (measured).
    a = rng.integers(0, 1 << 64, size=PLACES, dtype=np.uint64) | np.uint64(1)
    b = rng.integers(0, 1 << 64, size=PLACES, dtype=np.uint64)
    found = np.empty((len(sets), PLACES), dtype=np.uint64)
    for i, members in enumerate(sets):
        values = np.fromiter(members, dtype=np.uint64, count=len(members))
        found[i] = ((values[:, None] * a + b) >> np.uint64(32)).min(axis=0)
    return found


def groups(texts: Sequence[str]) -> np.ndarray:
    """A group number for each text, shape (n,): near-duplicates share one. Does not depend on a seed."""
    if not texts:
        return np.zeros(0, dtype=np.int64)
    sets = [shingles(text) for text in texts]
    found = signatures(sets)
    pairs: set[tuple[int, int]] = set()
    for band in range(BANDS):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        for i, row in enumerate(found[:, band * ROWS : (band + 1) * ROWS]):
            buckets[row.tobytes()].append(i)
        for bucket in buckets.values():
            # Compare with the bucket's first only: a popular text costs as much as it has copies.
            pairs.update((bucket[0], other) for other in bucket[1:])
    same = [(i, j) for i, j in sorted(pairs) if _jaccard(sets[i], sets[j]) >= SIMILAR]
    left, right = ([i for i, _ in same], [j for _, j in same])
    links = coo_matrix((np.ones(len(same)), (left, right)), shape=(len(texts), len(texts)))
    return np.asarray(connected_components(links, directed=False)[1])


def _jaccard(a: frozenset[int], b: frozenset[int]) -> float:
    return len(a & b) / len(a | b)
