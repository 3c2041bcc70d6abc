"""The tab "실시간 분석 & 피드백": the model's view of a sentence, and the visitor's view of the model's."""

from typing import Any

import gradio as gr

from app import charts
from app.cloud import COLOURS
from app.records import Analysis, Refused, VerdictLike
from app.services import MAX_CHARACTERS, Services, accepted
from app.suspects import Suspect
from pipeline.labels import SENTIMENTS
from pipeline.model import confidence as abstain

CHOICES = ("긍정", "중립", "부정")
EXAMPLES = (
    "이번 패치로 비숍 진짜 갓캐 됐네 ㅋㅋ",
    "본섭 패치 언제인지 아시는 분 계신가요?",
    "또 너프라니 이제 접을 때가 됐나 보다 ㅠㅠ",
)
UNCERTAIN = f"**{abstain.UNCERTAIN}**: 모델이 확신하지 못합니다. 가장 그럴듯한 것을 보여 드립니다."
NO_MODEL = "아직 모델이 없습니다. 그래도 정답을 골라 보내 주시면 첫 학습에 쓰입니다."
OUTDATED = "지금 있는 모델은 예전 판의 것이라 쓰지 못합니다. 정답을 보내 주시면 다음 학습에 쓰입니다."
WARMING_UP = "모델을 준비하고 있습니다. 잠시 뒤에 다시 분석해 주세요. 정답은 지금 보내셔도 됩니다."
# A word is marked when hiding it changes the label's probability by a hundredth at least, and by a fifth of
# what hiding the strongest word does: less is noise.
_NOTICEABLE, _MARKED = 0.01, 0.2
HELPED, OPPOSED = "＋", "－"
WORD_COLOURS = {HELPED: COLOURS["긍정"], OPPOSED: COLOURS["부정"]}


def build(services: Services, demo: gr.Blocks) -> None:
    """Put the tab's parts into the open Blocks and wire them."""
    gr.Markdown(
        "게시글이나 댓글 한 토막을 넣으면 모델이 분위기를 판단합니다. 틀렸다면 알려 주세요. 다음 학습에서 배웁니다."
    )
    analysis = gr.State(None, time_to_live=3600)
    with gr.Row():
        with gr.Column(min_width=320):
            text = gr.Textbox(
                label="문장",
                lines=5,
                max_lines=12,
                # Not `info`: that would become part of the field's name for screen readers.
                placeholder=f"예: 이번 패치로 비숍 진짜 갓캐 됐네 ㅋㅋ ({MAX_CHARACTERS:,}자까지)",
            )
            analyse_button = gr.Button("분석", variant="primary")
            gr.Examples(
                [[example] for example in EXAMPLES], text, label="이런 문장은 어떨까요?", api_visibility="private"
            )
        with gr.Column(min_width=320):
            result = gr.Label(label="분석 결과", num_top_classes=3, visible=False)
            words = gr.HighlightedText(
                label=f"판단에 영향을 준 낱말 ({HELPED} 뒷받침, {OPPOSED} 반대)",
                color_map=WORD_COLOURS,
                visible=False,
            )
            note = gr.Markdown("문장을 넣고 **분석**을 누르면 여기에 결과가 나타납니다.")
    with gr.Group(visible=False) as asking:
        analysed = gr.Textbox(label="분석한 문장", interactive=False, lines=1, max_lines=6)
        answer = gr.Radio(list(CHOICES), value=None, label="정답", info="이 문장의 분위기는 무엇인가요?")
        send = gr.Button("의견 보내기", variant="primary")
    with gr.Group(visible=False) as doubting:
        suspects = gr.Dropdown(
            [],
            value=None,
            label="라벨이 의심되는 글",
            info="배운 라벨이 틀린 것 같은 글입니다. 하나를 골라 원문을 읽고 정답을 알려 주세요.",
            filterable=False,
        )
    counter = gr.Markdown()
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    shown = [analysis, result, words, note, asking, analysed, answer, send]

    def check(text: str) -> Any:
        try:
            accepted(text)
        except Refused as refused:
            return gr.validate(False, str(refused))
        return gr.validate(True, "")

    def on_analyse(text: str, request: gr.Request) -> Any:
        try:
            made = services.analyse(text, client=client_of(request))
        except Refused as refused:
            # Not gr.Error: that lays "Error" over every part of the answer until someone closes it.
            gr.Warning(str(refused))
            return [gr.skip()] * len(shown)
        return answer_of(made)

    def on_review(key: str | None, request: gr.Request) -> Any:
        try:
            return answer_of(services.review(key or "", client=client_of(request)))
        except Refused as refused:
            gr.Warning(str(refused))
            return [gr.skip()] * len(shown)

    def on_suspects(request: gr.Request) -> Any:
        session = str(request.session_hash or "")
        choices = [(suspect_name(suspect), suspect.key) for suspect in services.suspects(session=session)]
        return gr.Group(visible=bool(choices)), gr.Dropdown(choices, value=None)

    def on_feedback(made: Analysis | None, chosen: str | None, request: gr.Request) -> Any:
        label = SENTIMENTS.index(chosen) if chosen in SENTIMENTS else None
        try:
            services.add_feedback(made, label, client=client_of(request), session=str(request.session_hash or ""))
        except Refused as refused:
            gr.Warning(str(refused))
            return [gr.skip()] * 5
        gr.Info("고맙습니다. 다음 학습에 쓰겠습니다.")
        # The list comes with the answer: one that grows shorter while it is open breaks Gradio's dropdown (6.31).
        return (
            gr.Radio(interactive=False),
            gr.Button("보냈습니다", interactive=False),
            on_count(),
            *on_suspects(request),
        )

    def on_count() -> str:
        waiting = services.progress()
        return f"모인 의견 **{waiting.feedback:,}/{waiting.feedback_needed:,}**"

    gr.on(
        [analyse_button.click, text.submit],
        on_analyse,
        text,
        shown,
        validator=check,
        api_visibility="private",
        concurrency_id="predict",
        concurrency_limit=4,
    )
    # One writer at a time: the second of two quick clicks finds the first one done.
    send.click(
        on_feedback,
        [analysis, answer],
        [answer, send, counter, doubting, suspects],
        api_visibility="private",
        concurrency_id="write",
        concurrency_limit=1,
    )
    suspects.input(on_review, suspects, shown, api_visibility="private", concurrency_id="predict", concurrency_limit=4)
    demo.load(on_count, None, counter, **quiet)
    demo.load(on_suspects, None, [doubting, suspects], **quiet)


def answer_of(made: Analysis) -> tuple[Any, ...]:
    """What the page shows of an analysis: state, probabilities, words, note, and the question for feedback."""
    verdict = made.verdict
    marked = highlighted(verdict) if verdict else []
    return (
        made,
        gr.Label(probabilities(verdict) if verdict else None, visible=verdict is not None),
        gr.HighlightedText(marked, visible=bool(marked)),
        note_of(made),
        gr.Group(visible=True),
        made.shown,
        gr.Radio(value=None, interactive=True),
        gr.Button("의견 보내기", interactive=True),
    )


def note_of(made: Analysis) -> str:
    """Markdown beside the result: how sure the model is, which one it is; of a post the label it has and its link."""
    waiting = WARMING_UP if made.warming_up else OUTDATED if made.outdated else NO_MODEL
    lines = [f"모델 버전 {made.version}" if made.verdict else waiting]
    if made.verdict and not made.verdict.certain:
        lines.insert(0, UNCERTAIN)
    if made.suspect:
        link = charts.link(made.suspect.url, "원문 읽기")
        lines.append(f"이 글은 지금 **{SENTIMENTS[made.suspect.label]}**으로 배웠습니다. {link}".strip())
    return "\n\n".join(lines)


def suspect_name(suspect: Suspect) -> str:
    """How a post stands in the list: the label it has, the one it may deserve, its title."""
    return f"[{SENTIMENTS[suspect.label]} → {SENTIMENTS[suspect.suggested]}?] {suspect.title}"


def probabilities(verdict: VerdictLike) -> dict[str, float]:
    """The three probabilities by name, as `gr.Label` takes them."""
    return {name: float(share) for name, share in zip(SENTIMENTS, verdict.probabilities, strict=True)}


def highlighted(verdict: VerdictLike) -> list[tuple[str, str | float | None]]:
    """The verdict's words as `gr.HighlightedText` takes them: those that mattered say which way."""
    strongest = max((abs(weight) for _, weight in verdict.tokens), default=0.0)
    pieces: list[tuple[str, str | float | None]] = []
    for word, weight in verdict.tokens:
        mattered = abs(weight) >= max(_NOTICEABLE, _MARKED * strongest)
        pieces += [(word, (HELPED if weight > 0 else OPPOSED) if mattered else None), (" ", None)]
    return pieces[:-1]


def client_of(request: gr.Request) -> str:
    """The visitor's address, for counting calls only."""
    return request.client.host if request.client else "unknown"
