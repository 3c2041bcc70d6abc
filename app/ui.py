"""The whole page: two tabs for people, three endpoints for programs.

The endpoints (`/analyse`, `/feedback`, `/dashboard`) speak plain JSON and stay as they are; the page's own events
are private.
"""

from typing import Any

import gradio as gr

from app import charts
from app.queue import share_fairly
from app.records import DEFAULT_PERIOD, Filters, Refused
from app.services import Services
from app.tabs import dashboard, live
from pipeline.labels import SENTIMENTS

TITLE = "메이플 펄스"


def build_ui(services: Services) -> gr.Blocks:
    """The page over these services. Nothing is read until someone opens it."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as demo:
        gr.Markdown(f"# 🍁 {TITLE}\n인벤 게시판에서 읽은 메이플스토리 직업별 분위기")
        with gr.Tabs():
            with gr.Tab("📊 대시보드", id="dashboard"):
                dashboard.build(services, demo)
            with gr.Tab("🤖 실시간 분석 & 피드백", id="live"):
                live.build(services, demo)
        _endpoints(services)
    demo.queue(max_size=64, default_concurrency_limit=4)
    share_fairly(demo)
    return demo


def _endpoints(services: Services) -> None:
    def analyse(text: str, request: gr.Request) -> dict[str, Any]:
        """Label, whether the model is sure, probabilities, words and model version (all null without a model)."""
        made = _asked(lambda: services.analyse(text, client=live.client_of(request)))
        verdict = made.verdict
        return {
            "text": made.text,
            "label": SENTIMENTS[verdict.label] if verdict else None,
            "confidence": float(verdict.confidence) if verdict else None,
            "certain": bool(verdict.certain) if verdict else None,
            "probabilities": live.probabilities(verdict) if verdict else None,
            "words": [[word, float(weight)] for word, weight in verdict.tokens] if verdict else [],
            "model_version": made.version,
        }

    def feedback(text: str, label: str, request: gr.Request) -> dict[str, Any]:
        """Store that a text is 긍정, 중립 or 부정, beside what the model says of it now."""
        client = live.client_of(request)
        made = _asked(lambda: services.analyse(text, client=client))
        chosen = SENTIMENTS.index(label) if label in SENTIMENTS else None
        session = str(request.session_hash or "")
        _asked(lambda: services.add_feedback(made, chosen, client=client, session=session))
        waiting = services.progress()
        return {"stored": True, "feedback": waiting.feedback, "needed": waiting.feedback_needed}

    def board(
        request: gr.Request, period: str = DEFAULT_PERIOD, group: str = charts.ALL, job: str = charts.ALL
    ) -> dict[str, Any]:
        """The dashboard's numbers: period 오늘, 7일, 30일 or 전체; a job group and a job, or 전체."""
        data = _asked(lambda: services.dashboard(Filters(period, group, job), client=live.client_of(request)))
        return {
            "posts": data.figures.posts,
            "moods": dict(zip(SENTIMENTS, data.figures.moods, strict=True)),
            "sources": dict(zip(charts.SOURCES, data.figures.sources, strict=True)),
            "groups": data.groups.to_dicts(),
            "jobs": data.jobs.to_dicts(),
            "keywords": [
                {"word": row.word, "posts": row.posts, "share": row.share, "z": row.z, "lean": row.lean}
                for row in data.keywords
            ],
            "collected_at": data.collected_at,
            "model_version": data.model_version,
            "pending": {"posts": data.progress.posts, "feedback": data.progress.feedback},
        }

    gr.api(analyse, api_name="analyse", concurrency_id="predict", concurrency_limit=4)
    gr.api(feedback, api_name="feedback", concurrency_id="write", concurrency_limit=1)
    gr.api(board, api_name="dashboard", concurrency_id="read", concurrency_limit=4)


def _asked(action: Any) -> Any:
    try:
        return action()
    except Refused as refused:
        raise gr.Error(str(refused), print_exception=False) from None
