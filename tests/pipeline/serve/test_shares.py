"""Shares: an estimate that sums to 1, that knows what it doesn't know, and whose interval holds the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.serve.shares import LEAST, Audits, Judge, Said, Shares, estimate, posterior, share_error

LLM, MODEL, OLD_MODEL = Judge("llm", "a1"), Judge("model", "20261122T154500"), Judge("model", "20261001T090000")
ERRORS = np.array([[0.80, 0.14, 0.06], [0.30, 0.62, 0.08], [0.10, 0.32, 0.58]])  # sees 부정 everywhere

counts = st.integers(0, 3000)
three = st.tuples(counts, counts, counts)
tables = st.lists(st.tuples(*[st.integers(0, 200)] * 3), min_size=3, max_size=3).map(np.array)


def said(judge: Judge, *answers: float, audited: np.ndarray | None = None) -> Said:
    table = np.zeros((3, 3)) if audited is None else np.asarray(audited, dtype=float)
    return Said(judge, np.array(answers, dtype=float), table)


def table(moods: np.ndarray, answers: np.ndarray) -> np.ndarray:
    return np.bincount(3 * moods + answers, minlength=9).reshape(3, 3).astype(float)


def answered(rng: np.random.Generator, moods: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """What a judge with these errors says to posts of these moods."""
    return np.asarray((rng.random(len(moods))[:, None] > errors[moods].cumsum(axis=1)).sum(axis=1).clip(0, 2))


@settings(max_examples=60, deadline=None)
@given(three, tables, tables)
def test_whatever_comes_in_shares_and_an_interval_come_out(
    answers: tuple[int, ...], here: np.ndarray, there: np.ndarray
) -> None:
    if sum(answers) + here.sum() == 0 or here.sum() + there.sum() < LEAST:
        return
    audits = Audits({(LLM, "전사"): here + 0.0, (LLM, "궁수"): there + 0.0})
    found = estimate([said(LLM, *answers, audited=here)], audits, group="전사")
    assert found.corrected
    assert found.low is not None
    assert found.high is not None
    assert sum(found.shares) == pytest.approx(1)
    assert sum(found.raw) == pytest.approx(1)
    for low, share, high in zip(found.low, found.shares, found.high, strict=True):
        assert 0 <= low <= share <= high <= 1
    assert found.posts == sum(answers) + here.sum()
    assert found.audited == here.sum() + there.sum()


@settings(max_examples=30, deadline=None)
@given(three, tables, st.permutations(range(3)))
def test_the_names_of_the_moods_do_not_matter(answers: tuple[int, ...], audited: np.ndarray, order: list[int]) -> None:
    if sum(answers) == 0 or audited.sum() < LEAST:
        return
    one = estimate([said(LLM, *answers)], Audits({(LLM, ""): audited + 0.0}))
    other = estimate([said(LLM, *np.array(answers)[order])], Audits({(LLM, ""): audited[np.ix_(order, order)] + 0.0}))
    assert np.array(one.shares)[order] == pytest.approx(other.shares, abs=1e-9)
    assert one.low is not None
    assert other.low is not None
    assert np.array(one.low)[order] == pytest.approx(other.low, abs=1e-9)


def test_the_order_of_judges_and_of_audited_posts_does_not_matter() -> None:
    rows = [(judge, group, mood, np.eye(3)[(mood + (i % 7 == 0)) % 3]) for i in range(40)
            for judge in (LLM, MODEL) for group in ("전사", "") for mood in range(3)]  # fmt: skip
    parts = [said(LLM, 30, 100, 20), said(MODEL, 5, 50, 9)]
    assert estimate(parts, Audits.of(rows), group="전사") == estimate(parts[::-1], Audits.of(rows[::-1]), group="전사")


def test_a_judge_without_errors_is_believed() -> None:
    audits = Audits({(LLM, ""): np.diag([2e4, 2e4, 2e4])})
    found = estimate([said(LLM, 1000, 7000, 2000)], audits)
    assert found.shares == pytest.approx(found.raw, abs=0.001)
    assert found.low is not None
    assert found.high is not None
    # The interval that is left is that of a sample of 10,000 posts.
    assert found.high[0] - found.low[0] == pytest.approx(2 * 1.645 * np.sqrt(0.1 * 0.9 / 10_000), rel=0.1)


def test_known_errors_are_taken_out() -> None:
    true = np.array([0.17, 0.73, 0.10])
    found = estimate([said(LLM, *(true @ ERRORS) * 100_000)], Audits({(LLM, ""): ERRORS * 5000}))
    assert share_error(found.raw, true) > 0.13
    assert found.shares == pytest.approx(true, abs=0.01)


def test_posts_audited_in_the_set_say_its_shares_by_themselves() -> None:
    """A judge that answers by dice says nothing, so what is left are the audited posts."""
    dice = np.outer([60, 200, 40], [1 / 3] * 3)
    found = estimate([said(LLM, 1000, 1000, 1000, audited=dice)], Audits({(LLM, ""): dice}))
    assert found.shares == pytest.approx((0.2, 2 / 3, 4 / 30), abs=0.005)


@pytest.mark.parametrize("audited", [0, LEAST - 1])
def test_without_enough_audited_posts_it_says_that_nothing_is_corrected(audited: int) -> None:
    audits = Audits({(LLM, "전사"): np.diag([audited, 0.0, 0.0])} if audited else {})
    found = estimate([said(LLM, 38, 48, 15)], audits)
    assert not found.corrected
    assert found.shares == found.raw == pytest.approx((38 / 101, 48 / 101, 15 / 101))
    assert found.low is None
    assert found.high is None
    assert f"llm: {audited} audited posts, {LEAST} are needed" in found.reason


def test_one_judge_without_audits_is_enough_for_not_correcting() -> None:
    found = estimate([said(LLM, 9, 9, 9), said(MODEL, 1, 0, 0)], Audits({(LLM, ""): ERRORS * 100}))
    assert not found.corrected
    assert found.reason.startswith("model: 0 audited posts")


def test_a_mood_that_was_never_audited_stays_uncertain() -> None:
    seen = np.array([[40.0, 10, 0], [10, 90, 0], [0, 0, 0]])
    found = estimate([said(LLM, 200, 700, 100)], Audits({(LLM, ""): seen}))
    complete = estimate([said(LLM, 200, 700, 100)], Audits({(LLM, ""): seen + np.diag([0.0, 0, 30])}))
    assert width(found) > 1.5 * width(complete)


def test_a_judge_that_answers_always_the_same_leaves_everything_open() -> None:
    same = np.column_stack([np.zeros(3), [30.0, 100, 20], np.zeros(3)])
    found = estimate([said(LLM, 0, 5000, 0)], Audits({(LLM, ""): same}))
    assert found.corrected
    assert width(found) > 0.5


def test_other_groups_and_versions_help_but_not_without_end() -> None:
    """2,000 audited posts of another group count like 20 of each mood, so 120 of one's own can contradict them."""
    parts = [said(MODEL, 300, 600, 100)]
    right, wrong = np.diag([300.0, 1500, 200]), ERRORS * 40
    elsewhere = estimate(parts, Audits({(MODEL, "궁수"): right}), group="전사")
    both = estimate(parts, Audits({(MODEL, "궁수"): right, (MODEL, "전사"): wrong}), group="전사")
    alone = estimate(parts, Audits({(MODEL, "전사"): wrong}), group="전사")
    older = estimate(parts, Audits({(OLD_MODEL, "전사"): right}), group="전사")
    assert share_error(elsewhere.shares, elsewhere.raw) < 0.02
    assert older.shares == pytest.approx(elsewhere.shares, abs=1e-9)
    assert share_error(both.shares, alone.shares) < share_error(both.shares, elsewhere.shares)
    assert width(elsewhere) > width(estimate(parts, Audits({(MODEL, "전사"): right}), group="전사"))
    assert elsewhere.audited == 2000


def test_what_people_judged_counts_as_it_is() -> None:
    found = estimate([], Audits({}), people=(10, 70, 20))
    assert found.corrected
    assert found.shares == pytest.approx((0.1, 0.7, 0.2))
    assert (found.reason, found.posts) == ("judged by people", 100)
    mixed = estimate([said(LLM, 1, 0, 0)], Audits({(LLM, ""): ERRORS * 100}), people=(0, 999, 0))
    assert mixed.shares == pytest.approx((0.001, 0.999, 0), abs=0.001)


def test_few_posts_lean_on_the_larger_set() -> None:
    audits = Audits({(LLM, ""): ERRORS * 200})
    wide = estimate([said(LLM, *(np.array([0.1, 0.8, 0.1]) @ ERRORS) * 10_000)], audits)
    alone, leaning = (estimate([said(LLM, 1, 0, 0)], audits, wider=wider) for wider in (None, wide))
    assert leaning.shares[0] < alone.shares[0]
    many = [said(LLM, *(np.array([0.5, 0.4, 0.1]) @ ERRORS) * 10_000)]
    assert estimate(many, audits, wider=wide).shares == pytest.approx(estimate(many, audits).shares, abs=0.02)


def test_probabilities_can_stand_in_for_answers() -> None:
    """Sums of probabilities of a judge that is never sure: 0.6 for the mood that it means."""
    soft = np.full((3, 3), 0.2) + np.eye(3) * 0.4
    true = np.array([0.2, 0.7, 0.1])
    found = estimate([said(LLM, *(true @ soft) * 30_000)], Audits({(LLM, ""): soft * 10_000}))
    assert found.shares == pytest.approx(true, abs=0.02)


def test_impossible_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="without posts"):
        estimate([said(LLM, 0, 0, 0)], Audits({}))
    inside = np.diag([40.0, 0, 0])
    audits = Audits({(LLM, "전사"): inside / 2, (LLM, "궁수"): inside})
    with pytest.raises(ValueError, match=r"more posts of .*a1.* are audited in the set than in all of 전사"):
        estimate([said(LLM, 1, 1, 1, audited=inside)], audits, group="전사")


@pytest.mark.parametrize("scale", [1, 1e3, 1e6])
def test_the_lattice_is_fine_enough_for_much_and_for_little(scale: float) -> None:
    """With nothing but audited posts the posterior is a Dirichlet distribution, whose moments are known."""
    inside = np.diag([2.0, 7, 1]) * scale
    mean, variance = posterior(np.zeros(3), inside, np.eye(3) + 1, np.ones(3))
    parameters = inside.sum(axis=1) + 1
    exact = parameters / parameters.sum()
    assert mean == pytest.approx(exact, abs=0.02 * np.sqrt(variance).max())
    assert variance == pytest.approx(exact * (1 - exact) / (parameters.sum() + 1), rel=0.02)


@pytest.mark.parametrize(("posts", "drawn", "inside"), [(2000, 100, True), (2000, 150, False), (150, 100, False)])
def test_the_interval_holds_the_truth_as_often_as_it_says(posts: int, drawn: int, inside: bool) -> None:
    """90 % asked for: of 3 times 120 shares at least 85 %, and the estimate is nearer than what was said."""
    held, raw, corrected = [], [], []
    for world in range(120):
        rng = np.random.default_rng(world)
        moods = rng.choice(3, posts, p=[0.2, 0.7, 0.1])
        answers = answered(rng, moods, ERRORS)
        if inside:
            picked = rng.permutation(posts) < drawn
            audited = table(moods[picked], answers[picked])
            parts, audits = [said(LLM, *np.bincount(answers[~picked], minlength=3), audited=audited)], audited
        else:
            others = rng.choice(3, drawn, p=[0.3, 0.5, 0.2])
            parts = [said(LLM, *np.bincount(answers, minlength=3))]
            audits = table(others, answered(rng, others, ERRORS))
        found = estimate(parts, Audits({(LLM, ""): audits}))
        true = np.bincount(moods, minlength=3) / posts
        assert found.low is not None
        assert found.high is not None
        held += [low <= share <= high for low, share, high in zip(found.low, true, found.high, strict=True)]
        raw.append(share_error(found.raw, true))
        corrected.append(share_error(found.shares, true))
    assert 0.85 <= np.mean(held) <= 0.99
    assert np.mean(corrected) < 0.75 * np.mean(raw)


def width(found: Shares) -> float:
    assert found.low is not None
    assert found.high is not None
    return float(np.mean(np.subtract(found.high, found.low)))
