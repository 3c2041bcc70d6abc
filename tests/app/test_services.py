"""The page's abilities over a real database: dashboard, analysis, feedback, limits."""

import threading
import unicodedata
from pathlib import Path

import pytest

from app.limits import RateLimiter, TimedCache
from app.records import Filters, Refused
from app.services import (
    ANALYSES_PER_MINUTE,
    DASHBOARDS_PER_MINUTE,
    FEEDBACK_PER_MINUTE,
    MAX_CHARACTERS,
    accepted,
    job_choices,
)
from pipeline.live.store import Store
from tests.app.world import NOW, VERSION, Model, fill, flag, services_of


def feedback_rows(store: Store) -> list[dict]:
    store.assign_archive(1)
    return store.feedback_of_archive(1)


def test_dashboard_counts_moods_and_who_judged(store, model):
    data = services_of(store, model, now=lambda: NOW).dashboard(Filters("전체"))
    assert data.figures.posts == 40
    # 20 labelled by the LLM (the first one overruled by a person), 18 more by the model, 2 by nobody.
    assert data.figures.sources == (1, 19, 18)
    assert data.figures.judged == 38
    assert data.model_version == VERSION
    assert data.collected_at == "2026-11-22T15:00:00+09:00"
    assert (data.progress.posts, data.progress.feedback) == (40, 1)
    assert list(data.groups["name"]) == ["전사", "마법사", "해적", "자유 게시판"]
    assert data.cloud is not None


def test_filters_narrow_the_posts_but_keep_the_charts_comparable(store, model):
    services = services_of(store, model, now=lambda: NOW)
    data = services.dashboard(Filters("전체", "마법사", "비숍"))
    assert data.figures.posts == 30
    assert list(data.jobs["name"]) == ["비숍"]
    assert len(data.groups) == 4
    assert services.dashboard(Filters("오늘")).figures.posts == 5


def test_keywords_leave_out_the_names_of_what_is_selected(store, model):
    services = services_of(store, model, now=lambda: NOW)
    words = {row.word for row in services.dashboard(Filters("전체", "마법사")).keywords}
    assert words == {"파티", "힐"}


@pytest.mark.parametrize("filters", [Filters("9일"), Filters("7일", "상인"), Filters("7일", "전사", "비숍")])
def test_unknown_filters_are_refused(store, model, filters):
    with pytest.raises(Refused):
        services_of(store, model).dashboard(filters)


def test_job_choices_are_those_of_the_group():
    assert "제논" in job_choices("해적")
    assert "비숍" not in job_choices("해적")
    assert len(job_choices("전체")) == 49


def test_fingerprint_changes_only_with_what_is_seen(store, model):
    moment = [0.0]
    services = services_of(store, model, now=lambda: NOW, monotonic=lambda: moment[0])
    first = services.dashboard(Filters())
    moment[0] = 60
    again = services.dashboard(Filters())
    assert again is not first
    assert again.fingerprint == first.fingerprint
    made = services.analyse("최고", client="a")
    services.add_feedback(made, 2, client="a", session="s")
    moment[0] = 120
    assert services.dashboard(Filters()).fingerprint != first.fingerprint


def test_an_empty_database_without_a_model(tmp_path: Path):
    with Store(f"sqlite:///{tmp_path / 'empty.db'}") as empty:
        data = services_of(empty, Model()).dashboard(Filters("전체"))
    assert (data.figures.posts, data.total_posts, data.collected_at, data.model_version) == (0, 0, None, None)
    assert data.keywords == []
    assert data.cloud is None


def test_feedback_keeps_the_analysed_text_and_the_prediction(store, model):
    services = services_of(store, model)
    typed = unicodedata.normalize("NFD", "비숍  갓캐 ㅋㅋ\u200b ")
    made = services.analyse(typed, client="1.2.3.4")
    assert made.text == "비숍 갓캐 ㅋㅋ"
    services.add_feedback(made, 0, client="1.2.3.4", session="abc")
    row = feedback_rows(store)[-1]
    assert (row["text"], row["label"], row["predicted"], row["model_version"]) == ("비숍 갓캐 ㅋㅋ", 0, 2, VERSION)
    assert row["confidence"] == pytest.approx(made.verdict.confidence)
    assert row["client"] == services.session_hash("abc") != services_of(store, model).session_hash("abc")
    assert "1.2.3.4" not in str(row)


def test_feedback_without_a_model(store):
    services = services_of(store, Model())
    made = services.analyse("첫 문장", client="a")
    assert made.verdict is None
    services.add_feedback(made, 1, client="a", session="s")
    row = feedback_rows(store)[-1]
    assert (row["label"], row["predicted"], row["model_version"]) == (1, None, None)


def test_one_analysis_takes_one_feedback_however_many_clicks(store, model):
    services = services_of(store, model)
    made = services.analyse("최고", client="a")
    outcomes: list[str] = []

    def click() -> None:
        try:
            services.add_feedback(made, 2, client="a", session="s")
            outcomes.append("stored")
        except Refused:
            outcomes.append("refused")

    threads = [threading.Thread(target=click) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 5 + ["stored"]
    assert store.count_pending()[1] == 2


def test_feedback_that_was_not_stored_can_be_sent_again(store, model):
    services = services_of(store, model)
    made = services.analyse("최고", client="a")
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE feedback RENAME TO away")
    with pytest.raises(Refused, match="저장하지 못했습니다"):
        services.add_feedback(made, 2, client="a", session="s")
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO feedback")
    assert services.add_feedback(made, 2, client="a", session="s") > 0


def test_a_suspect_is_judged_and_corrected_without_being_shown(store, model, tmp_path: Path):
    services = services_of(store, model, flag(tmp_path / "suspects.csv", (2295, 1001), (2295, 1002)))
    made = services.review("2295:1001", client="a")
    assert made.text == "비숍 이야기 1\n본문"  # what the model learned from, so that the correction outvotes it
    assert made.shown == "비숍 이야기 1"
    assert made.verdict.tokens == ()  # the words together would be the post
    services.add_feedback(made, 2, client="a", session="s")
    assert [suspect.key for suspect in services.suspects(session="s")] == ["2295:1002"]
    assert [suspect.key for suspect in services.suspects(session="t")] == ["2295:1001", "2295:1002"]  # still open
    for gone in ("1:1", "", "2295:1002; DROP TABLE posts"):
        with pytest.raises(Refused, match="다른 글을 골라"):
            services.review(gone, client="a")
    typed = services.analyse("최고", client="a")
    services.add_feedback(typed, 0, client="a", session="s")
    *_, review, other = feedback_rows(store)
    assert (review["text"], review["label"], review["board_id"], review["post_id"]) == (made.text, 2, 2295, 1001)
    assert (typed.shown, other["board_id"], other["post_id"]) == ("최고", None, None)


def test_without_a_database_there_are_no_suspects(store, model, tmp_path: Path, caplog):
    services = services_of(store, model, flag(tmp_path / "suspects.csv", (2295, 1001)))
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE posts RENAME TO away")
    assert services.suspects() == []
    assert "suspicious labels can't be read" in caplog.text


@pytest.mark.parametrize("label", [None, 3, -1, "긍정"])
def test_a_feedback_needs_a_label(store, model, label):
    services = services_of(store, model)
    made = services.analyse("최고", client="a")
    with pytest.raises(Refused):
        services.add_feedback(made, label, client="a", session="s")
    with pytest.raises(Refused, match="먼저"):
        services.add_feedback(None, 2, client="a", session="s")


def test_texts_that_are_refused_and_the_longest_that_is_not():
    for text in ("", " \n\u200b ", None, 7, "가" * (MAX_CHARACTERS + 1)):
        with pytest.raises(Refused):
            accepted(text)
    assert accepted("가" * MAX_CHARACTERS) == "가" * MAX_CHARACTERS
    # Decomposed letters count as what the reader sees.
    assert len(accepted(unicodedata.normalize("NFD", "각" * MAX_CHARACTERS))) == MAX_CHARACTERS
    with pytest.raises(Refused, match="2,001자"):
        accepted("가" * 2001)


def test_a_model_that_fails_is_not_the_visitors_problem(store, caplog):
    class Broken:
        version = "x"

        def predict(self, texts, explain=False):
            raise RuntimeError("out of memory")

    with pytest.raises(Refused, match="잠시 뒤에"):
        services_of(store, Model(Broken())).analyse("최고", client="a")
    assert "out of memory" in caplog.text


def test_a_model_that_cannot_be_loaded_counts_as_none(store, caplog):
    class Unloadable(Model):
        def current(self):
            raise OSError("half a file")

    services = services_of(store, Unloadable())
    assert services.classifier() is None
    assert services.dashboard(Filters()).model_version is None
    assert "half a file" in caplog.text


def test_limits_are_per_client_and_slide(store, model):
    moment = [0.0]
    services = services_of(store, model, monotonic=lambda: moment[0])
    for _ in range(ANALYSES_PER_MINUTE):
        services.analyse("최고", client="a")
    with pytest.raises(Refused, match="초 뒤에"):
        services.analyse("최고", client="a")
    services.analyse("최고", client="b")
    moment[0] = 61
    made = [services.analyse("최고", client="a") for _ in range(FEEDBACK_PER_MINUTE + 1)]
    for one in made[:-1]:
        services.add_feedback(one, 2, client="a", session="s")
    with pytest.raises(Refused, match="초 뒤에"):
        services.add_feedback(made[-1], 2, client="a", session="s")


def test_rate_limiter_forgets_the_oldest_clients():
    limiter = RateLimiter(1, 60, clients=2, clock=lambda: 0.0)
    assert [limiter.wait(name) for name in "abc"] == [0, 0, 0]
    assert limiter.wait("c") == 60
    assert limiter.wait("a") == 0


def test_cache_makes_a_value_once_and_keeps_a_dear_one_longer():
    moment, made = [0.0], []
    cache = TimedCache(5, size=2, clock=lambda: moment[0])

    def make() -> int:
        made.append(1)
        moment[0] += 2  # takes two seconds: kept for twenty
        return len(made)

    assert [cache.get("k", make), cache.get("k", make)] == [1, 1]
    moment[0] = 21.9
    assert cache.get("k", make) == 1
    moment[0] = 22.1
    assert cache.get("k", make) == 2
    with pytest.raises(ZeroDivisionError):
        cache.get("bad", lambda: 1 // 0)
    assert cache.get("bad", lambda: 3) == 3


def test_a_wrong_clock_ahead_by_a_day_loses_no_post(tmp_path: Path, model):
    with Store(f"sqlite:///{tmp_path / 'ahead.db'}") as ahead:
        fill(ahead, NOW.replace(day=23))
        assert services_of(ahead, model, now=lambda: NOW).dashboard(Filters("7일")).figures.posts == 40


def test_a_visitor_reads_the_dashboard_so_often_and_no_more(store, model):
    now = 0.0
    services = services_of(store, model, now=lambda: NOW, monotonic=lambda: now)
    for _ in range(DASHBOARDS_PER_MINUTE):
        services.dashboard(Filters(), client="2001:db8::1")
    with pytest.raises(Refused, match="초 뒤에"):
        services.dashboard(Filters(), client="2001:db8::ffff")  # the same household
    services.dashboard(Filters(), client="2001:db8:0:1::1")
    now = 61.0
    services.dashboard(Filters(), client="2001:db8::1")


def test_all_visitors_together_have_a_limit_too():
    limiter = RateLimiter(2, 60, over_all=3, clock=lambda: 0.0)
    assert [limiter.wait(client) > 0 for client in ("a", "a", "a", "b", "b", "c")] == [
        False,
        False,
        True,
        False,
        True,
        True,
    ]


def test_half_a_character_in_a_session_is_no_error(store, model):
    services = services_of(store, model)
    made = services.analyse("최고\ud83c 갓캐", client="a")
    services.add_feedback(made, 2, client="a", session="s\ud800")
    assert feedback_rows(store)[-1]["text"] == "최고 갓캐"
    assert services.session_hash("s\ud800") != services.session_hash("s")
