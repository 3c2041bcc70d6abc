"""The dashboard's frames as HTML: figures, bars, the word cloud. Pure functions.

Only numbers, dates and names of our own table come here, and every one is escaped all the same. What people
wrote (titles, texts) never does: it is shown in plain cells.
"""

import base64
import io
from datetime import date, datetime
from html import escape

import numpy as np
import polars as pl
from PIL import Image

from app import charts
from app.records import Dashboard, Progress
from pipeline import clock
from pipeline.labels import NEGATIVE, NEUTRAL, POSITIVE, SENTIMENTS

# Left to right, as Koreans say it: 긍정, 중립, 부정.
_ORDER = ((POSITIVE, "positive", "pos"), (NEUTRAL, "neutral", "neu"), (NEGATIVE, "negative", "neg"))
_WRITTEN = 0.14  # a segment narrower than this has no room for its number


def figures(data: Dashboard) -> str:
    """The cards at the top: posts and days, mood, who judged, the model, the way to the next training."""
    numbers = data.figures
    counts = {label: numbers.moods[label] for label, _, _ in _ORDER}
    mood = [
        f'<li class="mp-{short}"><span>{charts.MOODS[label]}</span>'
        f"<b>{_percent(counts[label], numbers.judged)}</b><i>{counts[label]:,}개</i></li>"
        for label, _, short in _ORDER
    ]
    waiting = numbers.posts - numbers.judged
    judges = [
        f"<li><span>{name}</span><b>{count:,}</b></li>"
        for name, count in zip(charts.SOURCES.values(), numbers.sources, strict=True)
    ]
    return (
        '<div class="mp-cards">'
        + _card("글 수", f"{numbers.posts:,}", _days(numbers.first, numbers.last))
        + _thirds("분위기", mood)
        + f'<section class="mp-card"><h2>다음 학습까지</h2>{progress(data.progress)}</section>'
        + _card("모델", *_version(data.model_version, data.warming_up, data.outdated))
        + _thirds("판단 근거", judges, f"{charts.NOT_JUDGED} {waiting:,}" if waiting else "")
        + _card("마지막 수집", _moment(data.collected_at), f"모은 글 모두 {data.total_posts:,}개")
        + "</div>"
        + _notices(data)
    )


def progress(waiting: Progress) -> str:
    """Posts and corrections waiting for the next training, as two labelled bars."""
    return (
        '<div class="mp-progress">'
        + "".join(
            f'<div><span>{name} {have:,}/{need:,}</span><progress max="{need}" value="{min(have, need)}" '
            f'aria-label="다음 학습까지 모인 {name}"></progress></div>'
            for name, have, need in (
                ("글", waiting.posts, waiting.posts_needed),
                ("의견", waiting.feedback, waiting.feedback_needed),
            )
        )
        + "</div>"
    )


def bars(table: pl.DataFrame, title: str, chosen: str) -> str:
    """A table of stacked bars (`charts.shares`): name, shares, number of posts. `chosen` is marked."""
    if table.is_empty():
        nothing = '<p class="mp-empty">보여 줄 글이 없습니다.</p>'
        return f'<section class="mp-panel"><h2>{escape(title)}</h2>{nothing}</section>'
    rows = "".join(_bar_row(row, chosen) for row in table.iter_rows(named=True))
    legend = "".join(
        f'<li><span class="mp-swatch mp-{short}"></span>{charts.MOODS[label]}</li>' for label, _, short in _ORDER
    )
    return (
        f'<section class="mp-panel"><h2>{escape(title)}</h2><ul class="mp-legend" aria-hidden="true">{legend}</ul>'
        f'<div class="mp-scroll" tabindex="0" role="region" aria-label="{escape(title)}">'
        '<table class="mp-bars"><colgroup><col class="mp-name"><col><col class="mp-posts"></colgroup>'
        '<thead><tr><th scope="col">이름</th><th scope="col">비율</th><th scope="col">글</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def cloud(picture: np.ndarray | None) -> str:
    """The word cloud as a picture inside the page: nothing is written to disk for it."""
    if picture is None:
        return '<p class="mp-empty">아직 눈에 띄는 낱말이 없습니다. 글이 더 모이면 나타납니다.</p>'
    buffer = io.BytesIO()
    Image.fromarray(picture).quantize(64).save(buffer, "PNG", optimize=True)
    return (
        '<img class="mp-cloud" alt="낱말 구름. 같은 낱말과 숫자가 옆의 표에 있습니다." '
        f'width="{picture.shape[1]}" height="{picture.shape[0]}" '
        f'src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
    )


def keyword_note(data: Dashboard) -> str:
    """How the keywords were chosen, in a sentence."""
    if not data.keywords:
        return ""
    if data.compared_with is None:
        return "많은 글에 나온 순서입니다. 견줄 다른 글이 아직 없습니다."
    return f"{data.compared_with}보다 유난히 자주 나온 낱말입니다. 특징도가 2보다 크면 우연으로 보기 어렵습니다."


def _notices(data: Dashboard) -> str:
    if data.total_posts == 0:
        text = "아직 글이 없습니다. 수집이 시작되면 몇 분 안에 첫 글이 나타납니다."
    elif data.figures.posts == 0:
        text = "이 조건에 맞는 글이 없습니다. 기간을 늘리거나 다른 직업을 골라 보세요."
    elif data.figures.judged == 0:
        text = "글은 모였지만 아직 판단하지 않았습니다. 첫 모델이나 첫 라벨이 준비되면 분위기가 나타납니다."
    elif data.warming_up:
        text = "모델을 준비하고 있습니다. 잠시 뒤부터 새 글도 곧바로 판단합니다."
    elif data.outdated:
        text = "지금 있는 모델은 예전 판의 것이라 쓰지 못합니다. 다음 학습이 끝나면 새 모델이 판단합니다."
    elif data.model_version is None:
        text = "아직 모델이 없습니다. 첫 학습이 끝나면 새 글도 곧바로 판단합니다."
    else:
        return ""
    return f'<p class="mp-notice" role="status">{text}</p>'


def _card(title: str, value: str, note: str) -> str:
    return (
        f'<section class="mp-card"><h2>{escape(title)}</h2><strong>{escape(value)}</strong>'
        f"<p>{escape(note)}</p></section>"
    )


def _thirds(title: str, items: list[str], note: str = "") -> str:
    return (
        f'<section class="mp-card mp-wide"><h2>{escape(title)}</h2><ul class="mp-thirds">{"".join(items)}</ul>'
        f"{f'<p>{escape(note)}</p>' if note else ''}</section>"
    )


def _bar_row(row: dict[str, object], chosen: str) -> str:
    name, judged, posts = str(row["name"]), int(str(row["judged"])), int(str(row["posts"]))
    classes = " ".join(part for part, on in (("mp-few", row["few"]), ("mp-chosen", name == chosen)) if on)
    few = '<span class="mp-tag">표본 적음</span>' if row["few"] else ""
    if judged == 0:
        bar = f'<span class="mp-bar mp-none">{charts.NOT_JUDGED}</span>'
    else:
        shares = [(label, float(str(row[column])), short) for label, column, short in _ORDER]
        spoken = ", ".join(f"{SENTIMENTS[label]} {share:.0%}" for label, share, _ in shares)
        parts = "".join(
            f'<span class="mp-{short}" style="width:{share:.2%}">{f"{share:.0%}" if share >= _WRITTEN else ""}</span>'
            for _, share, short in shares
            if share > 0
        )
        bar = f'<span class="mp-bar" role="img" aria-label="{spoken}" title="{spoken}">{parts}</span>'
    return (
        f'<tr class="{classes}"><th scope="row">{escape(name)}{few}</th><td>{bar}</td>'
        f'<td class="mp-count">{posts:,}</td></tr>'
    )


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"


def _days(first: date | None, last: date | None) -> str:
    if first is None or last is None:
        return "기간 없음"
    start, end = (f"{day.year}. {day.month}. {day.day}." for day in (first, last))
    return start if first == last else f"{start} ~ {end}"


def _version(version: str | None, warming_up: bool, outdated: bool) -> tuple[str, str]:
    """When a model was made (`20261122T154500`, KST) and its exact name."""
    if version is None and warming_up:
        return "준비 중", "모델을 준비하고 있습니다"
    if version is None and outdated:
        return "교체 중", "다음 학습이 끝나면 나타납니다"
    if version is None:
        return "아직 없음", "첫 학습이 끝나면 나타납니다"
    try:
        made = f"{datetime.strptime(version, '%Y%m%dT%H%M%S'):%m-%d %H:%M}"
    except ValueError:
        return version, "지금 판단에 쓰는 모델"
    return made, f"버전 {version}"


def _moment(text: str | None) -> str:
    return "아직 없음" if text is None else f"{clock.parse_iso(text):%m-%d %H:%M}"
