"""What the page can do, without the page: read the dashboard, analyse a text, take feedback.

Thread-safe: Gradio calls from many threads. Every limit that matters is enforced here, because Gradio's private
events stay callable by hand.
"""

import hashlib
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from app import charts
from app.cloud import word_cloud
from app.limits import RateLimiter, TimedCache
from app.records import PERIODS, Analysis, ClassifierLike, Dashboard, Filters, ModelProvider, Progress, Refused
from app.suspects import Suspect, Suspects
from pipeline import boards, clock
from pipeline.live.database import StoreError
from pipeline.live.records import Feedback
from pipeline.live.store import Store
from pipeline.serve.keywords import keywords
from pipeline.text import normalise

log = logging.getLogger(__name__)

MAX_CHARACTERS = 2000
# A person reads before judging: these are far above what one can do by hand, far below what a script would.
ANALYSES_PER_MINUTE, ANALYSES_OVER_ALL = 30, 300
FEEDBACK_PER_MINUTE, FEEDBACK_OVER_ALL = 15, 60
DASHBOARDS_PER_MINUTE, DASHBOARDS_OVER_ALL = 60, 600
CACHE_SECONDS = 5.0
ANSWERED_KEPT = 10_000  # analyses whose feedback is remembered, so that a second click changes nothing


class Services:
    """The page's abilities over a live database and a source of models.

    `chunk_size` and `archive_size` are `cut.size` and `archive.size` of params.yaml: posts and corrections that
    the next training takes.
    """

    def __init__(
        self,
        store: Store,
        model: ModelProvider,
        *,
        chunk_size: int,
        archive_size: int,
        stopwords: Callable[[], Collection[str]] = frozenset,
        suspects: Suspects | None = None,
        now: Callable[[], datetime] = clock.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._model, self._stopwords, self._now = store, model, stopwords, now
        self._sizes = chunk_size, archive_size
        self._suspects = suspects or Suspects(store)
        self._frames = TimedCache(CACHE_SECONDS, size=len(PERIODS), clock=monotonic)
        self._dashboards = TimedCache(CACHE_SECONDS, size=32, clock=monotonic)
        self._analyses = RateLimiter(ANALYSES_PER_MINUTE, 60, over_all=ANALYSES_OVER_ALL, clock=monotonic)
        self._feedbacks = RateLimiter(FEEDBACK_PER_MINUTE, 60, over_all=FEEDBACK_OVER_ALL, clock=monotonic)
        self._reads = RateLimiter(DASHBOARDS_PER_MINUTE, 60, over_all=DASHBOARDS_OVER_ALL, clock=monotonic)
        self._answered: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._salt = secrets.token_bytes(32)  # new at every start: sessions can't be followed across starts

    # --- dashboard --------------------------------------------------------------------------------

    def dashboard(self, filters: Filters, *, client: str = "") -> Dashboard:
        """The dashboard under these filters, at most a few seconds old. Raises Refused for unknown filters.

        `client` is the visitor's address, "" for a reader that is not counted.
        """
        if filters.period not in PERIODS:
            raise Refused(f"기간은 {', '.join(PERIODS)} 가운데 하나여야 합니다.")
        if filters.group not in (charts.ALL, *boards.GROUPS, charts.NO_GROUP):
            raise Refused("없는 직업군입니다.")
        if filters.job not in job_choices(filters.group):
            raise Refused("이 직업군에는 없는 직업입니다.")
        if client:
            _slow_down(self._reads, client)
        try:
            made: Dashboard = self._dashboards.get(filters, lambda: self._make(filters))
        except StoreError:
            log.exception("the dashboard can't be read")
            raise Refused("지금은 자료를 읽지 못합니다. 잠시 뒤에 다시 열어 주세요.") from None
        return made

    def _make(self, filters: Filters) -> Dashboard:
        frame, since = self._frames.get(filters.period, lambda: self._read(filters.period))
        shown = frame.filter(pl.col("posted_at") >= since)
        selection = charts.select(shown, filters.group, filters.job)
        rest, compared_with = self._others(filters, frame, shown, since)
        found = keywords(selection, rest, stopwords=_names(filters).union(self._stopwords()))
        figures = charts.figures(selection)
        groups = charts.shares(shown, "job_group")
        jobs = charts.shares(charts.select(shown, filters.group), "job")
        newest = charts.newest(selection)
        summary = self._store.summary()
        collected_at = self._store.last_collected_at()
        warming_up, classifier = self.warming_up, self.classifier()
        version = classifier.version if classifier else None
        outdated = self.outdated and classifier is None
        progress = Progress(summary["pending_posts"], self._sizes[0], summary["pending_feedback"], self._sizes[1])
        visible = (
            filters,
            figures,
            groups.rows(),
            jobs.rows(),
            found,
            newest.rows(),
            summary["posts"],
            collected_at,
            version,
            warming_up and classifier is None,
            outdated,
            progress,
        )
        return Dashboard(
            filters=filters,
            figures=figures,
            groups=groups,
            jobs=jobs,
            keywords=found,
            compared_with=compared_with if rest.height else None,
            cloud=word_cloud(found),
            newest=newest,
            total_posts=summary["posts"],
            collected_at=collected_at,
            model_version=version,
            warming_up=warming_up and classifier is None,
            progress=progress,
            fingerprint=hashlib.sha256(repr(visible).encode()).hexdigest(),
            outdated=outdated,
        )

    def _read(self, period: str) -> tuple[pl.DataFrame, str]:
        """The posts of a period and of the days it is compared with, and when the period begins (ISO 8601)."""
        days, before = PERIODS[period]
        now = self._now()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        until = midnight + timedelta(days=2)  # a post dated ahead by a wrong clock is shown, not lost
        since = midnight - timedelta(days=days - 1) if days else datetime(2000, 1, 1, tzinfo=clock.KST)
        rows = self._store.moods(since - timedelta(days=before), until)
        return charts.posts_frame(rows), clock.iso(since)

    def _others(
        self, filters: Filters, frame: pl.DataFrame, shown: pl.DataFrame, since: str
    ) -> tuple[pl.DataFrame, str]:
        """The posts that the selection's keywords stand out from, and how the page calls them."""
        if filters.job != charts.ALL:
            chosen = pl.col("job") == filters.job
            return shown.filter(~chosen), "같은 기간 다른 직업의 글"
        if filters.group != charts.ALL:
            return shown.filter(pl.col("job_group") != filters.group), "같은 기간 다른 직업군의 글"
        return frame.filter(pl.col("posted_at") < since), f"그 전 {PERIODS[filters.period][1]}일의 글"

    def progress(self) -> Progress:
        """How far the next training is, read now."""
        waiting_posts, waiting_feedback = self._store.count_pending()
        return Progress(waiting_posts, self._sizes[0], waiting_feedback, self._sizes[1])

    # --- health -----------------------------------------------------------------------------------

    def classifier(self) -> ClassifierLike | None:
        """The model in production. None when there is none yet, or when it can't be loaded (which is logged)."""
        try:
            return self._model.current()
        except Exception:
            log.exception("the production model can't be loaded")
            return None

    @property
    def warming_up(self) -> bool:
        """Whether the first model is being loaded."""
        return self._model.warming_up

    @property
    def outdated(self) -> bool:
        """Whether the model that is there needs another version of the code."""
        return self._model.outdated

    def database_works(self) -> bool:
        """Whether a row can be read from the database."""
        try:
            self._store.last_collected_at()
        except Exception:
            log.exception("the database can't be read")
            return False
        return True

    # --- live analysis ----------------------------------------------------------------------------

    def analyse(self, text: str, *, client: str) -> Analysis:
        """What the model says of a text; without a model, the text ready for feedback. Raises Refused.

        `client` is the visitor's address: it is counted in memory and stored nowhere.
        """
        cleaned = accepted(text)
        _slow_down(self._analyses, client)
        return self._judge(cleaned)

    def suspects(self, *, session: str = "") -> list[Suspect]:
        """Posts whose label looks wrong, that people have not settled and this session has not answered.

        Empty when they can't be read.
        """
        try:
            return self._suspects.read(self.session_hash(session) if session else "")
        except StoreError:
            log.exception("the suspicious labels can't be read")
            return []

    def review(self, key: str, *, client: str) -> Analysis:
        """What the model says of a post whose label looks wrong (`Suspect.key`), ready for feedback. Raises Refused."""
        _slow_down(self._analyses, client)
        suspect = next((one for one in self.suspects() if one.key == key), None)
        if suspect is None:
            raise Refused("이 글은 이미 여러 분이 살펴보았습니다. 다른 글을 골라 주세요.")
        return self._judge(suspect.text, suspect)

    def _judge(self, cleaned: str, suspect: Suspect | None = None) -> Analysis:
        warming_up, classifier = self.warming_up, self.classifier()
        try:
            # The words of a post are not explained: together they would be the post.
            verdict = classifier.predict([cleaned], explain=suspect is None)[0] if classifier else None
        except Exception:
            log.exception("the model can't judge a text of %d characters", len(cleaned))
            raise Refused("모델이 답하지 못했습니다. 잠시 뒤에 다시 해 주세요.") from None
        return Analysis(
            id=secrets.token_hex(16),
            text=cleaned,
            verdict=verdict,
            version=classifier.version if classifier else None,
            suspect=suspect,
            warming_up=warming_up and classifier is None,
            outdated=self.outdated and classifier is None,
        )

    def add_feedback(self, analysis: Analysis | None, label: int | None, *, client: str, session: str) -> int:
        """Store what a visitor says of an analysed text, once per analysis. Returns the row's id. Raises Refused."""
        if analysis is None:
            raise Refused("먼저 문장을 분석해 주세요.")
        if label not in (0, 1, 2):
            raise Refused("정답을 골라 주세요: 긍정, 중립, 부정 가운데 하나입니다.")
        _slow_down(self._feedbacks, client)
        with self._lock:
            if analysis.id in self._answered:
                raise Refused("이 분석에는 이미 의견을 보내셨습니다.")
            self._answered[analysis.id] = None
            while len(self._answered) > ANSWERED_KEPT:
                self._answered.popitem(last=False)
        verdict, suspect = analysis.verdict, analysis.suspect
        try:
            return self._store.add_feedback(
                Feedback(
                    text=analysis.text,
                    label=label,
                    predicted=verdict.label if verdict else None,
                    confidence=verdict.confidence if verdict else None,
                    model_version=analysis.version,
                    board_id=suspect.board_id if suspect else None,
                    post_id=suspect.post_id if suspect else None,
                    client=self.session_hash(session),
                )
            )
        except StoreError:
            with self._lock:
                self._answered.pop(analysis.id, None)  # not stored: a second try must be possible
            log.exception("feedback can't be stored")
            raise Refused("의견을 저장하지 못했습니다. 잠시 뒤에 다시 보내 주세요.") from None

    def session_hash(self, session: str) -> str:
        """A salted hash of a browser session, 32 hex digits: tells one visitor's rows apart, names nobody."""
        # Half of a character (a lone surrogate) may come in a session's name and is no text.
        return hashlib.blake2b(session.encode("utf-8", "replace"), key=self._salt, digest_size=16).hexdigest()


def accepted(text: Any) -> str:
    """The text as it is analysed and stored (`pipeline.text.normalise`). Raises Refused: empty, too long, no text."""
    if not isinstance(text, str) or not (cleaned := normalise(text)):
        raise Refused("분석할 문장을 입력해 주세요.")
    if len(cleaned) > MAX_CHARACTERS:
        raise Refused(f"문장은 {MAX_CHARACTERS:,}자까지 쓸 수 있습니다. 지금은 {len(cleaned):,}자입니다.")
    return cleaned


def job_choices(group: str) -> list[str]:
    """전체 and the jobs of a group (of every group for 전체), in the domain's order."""
    if group == charts.ALL:
        return [charts.ALL, *(job.name for job in boards.JOBS)]
    return [charts.ALL, *(job.name for job in boards.jobs_of_group(group))]


def _names(filters: Filters) -> set[str]:
    """Names of what is selected: that posts about 비숍 say 비숍 is no news."""
    chosen = [
        job
        for job in boards.JOBS
        if job.name == filters.job or (filters.job == charts.ALL and job.group == filters.group)
    ]
    names = {filters.group}.union(*((job.name, *job.categories, *job.aliases) for job in chosen))
    return {name.replace(" ", "") for name in names}


def _slow_down(limiter: RateLimiter, client: str) -> None:
    seconds = limiter.wait(client)
    if seconds > 0:
        raise Refused(f"잠시 쉬었다가 다시 해 주세요. {int(seconds) + 1}초 뒤에 다시 할 수 있습니다.")
