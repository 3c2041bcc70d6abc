"""Published ways from a judge's answers to true shares, for comparison with `pipeline.serve.shares`.

All take probabilities of the stream's posts, shape (n, 3), and of audited posts, shape (m, 3), with their moods (m,);
all give three shares. QuaPy 0.2.3 says the same (ACC and PACC to 1e-5, SLD to 1e-4); it needs pandas, five seconds of
import and, for intervals by Bayes' rule, JAX.
"""

from itertools import combinations

import numpy as np

_ITERATIONS, _STILL = 1000, 1e-6


def classify_and_count(answers: np.ndarray, audited: np.ndarray, moods: np.ndarray) -> np.ndarray:
    """The shares of the answers."""
    return one_hot(answers).mean(axis=0)


def probabilistic_count(answers: np.ndarray, audited: np.ndarray, moods: np.ndarray) -> np.ndarray:
    """The mean probabilities (PCC, Bella et al. 2010)."""
    return np.asarray(answers.mean(axis=0))


def adjusted_count(answers: np.ndarray, audited: np.ndarray, moods: np.ndarray) -> np.ndarray:
    """ACC (Forman 2008): the shares under which the audited posts' errors make the answers that came, nearest."""
    return nearest_shares(errors(one_hot(audited), moods), one_hot(answers).mean(axis=0))


def probabilistic_adjusted_count(answers: np.ndarray, audited: np.ndarray, moods: np.ndarray) -> np.ndarray:
    """PACC (Bella et al. 2010): the same with probabilities."""
    return nearest_shares(errors(audited, moods), answers.mean(axis=0))


def expectation_maximisation(answers: np.ndarray, audited: np.ndarray, moods: np.ndarray) -> np.ndarray:
    """SLD (Saerens et al. 2002, doi 10.1162/089976602753284446) for a judge that was calibrated on balanced moods."""
    shares = balanced = np.full(3, 1 / 3)
    for _ in range(_ITERATIONS):
        weighted = answers * (shares / balanced)
        weighted /= weighted.sum(axis=1, keepdims=True)
        before, shares = shares, weighted.mean(axis=0)
        if np.abs(shares - before).max() < _STILL:
            break
    return shares


def audited_alone(answers: np.ndarray, audited: np.ndarray, moods: np.ndarray) -> np.ndarray:
    """The audited posts' moods, as if there were no judge; a third each where there is none."""
    return np.bincount(moods, minlength=3) / len(moods) if len(moods) else np.full(3, 1 / 3)


def one_hot(probabilities: np.ndarray) -> np.ndarray:
    """1 for the likeliest mood, 0 for the others."""
    return np.eye(3)[probabilities.argmax(axis=1)]


def errors(said: np.ndarray, moods: np.ndarray) -> np.ndarray:
    """What is said on average of each mood (row), shape (3, 3); the truth of a mood that no audited post has."""
    return np.array(
        [said[moods == mood].mean(axis=0) if (moods == mood).any() else np.eye(3)[mood] for mood in range(3)]
    )


def nearest_shares(confusion: np.ndarray, said: np.ndarray) -> np.ndarray:
    """The shares p, not negative and with sum 1, with the least |p @ confusion - said|: exact, face by face."""
    best, least = np.full(3, 1 / 3), np.inf
    for size in (1, 2, 3):
        for face in map(list, combinations(range(3), size)):
            rows = confusion[face]
            system = np.block([[rows @ rows.T, np.ones((size, 1))], [np.ones((1, size)), np.zeros((1, 1))]])
            found = np.linalg.lstsq(system, np.append(rows @ said, 1), rcond=None)[0][:size]
            if (found < -1e-12).any():
                continue
            shares = np.zeros(3)
            shares[face] = found
            distance = float(((shares @ confusion - said) ** 2).sum())
            if distance < least - 1e-12:
                best, least = shares / shares.sum(), distance
    return best
