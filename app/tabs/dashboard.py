"""The tab "대시보드": the mood of every job, what its posts talk about, and the newest of them."""

from typing import Any

import gradio as gr
import polars as pl

from app import charts, render
from app.records import DEFAULT_PERIOD, PERIODS, Dashboard, Filters, Refused
from app.services import Services, job_choices
from app.tabs.live import client_of
from pipeline.boards import GROUPS

REFRESH_SECONDS = 30


def build(services: Services, demo: gr.Blocks) -> None:
    """Put the tab's parts into the open Blocks and wire them."""
    with gr.Row(elem_classes="mp-filters"):
        period = gr.Radio(list(PERIODS), value=DEFAULT_PERIOD, label="기간", scale=2, min_width=300)
        group = gr.Dropdown([charts.ALL, *GROUPS, charts.NO_GROUP], value=charts.ALL, label="직업군", filterable=False)
        job = gr.Dropdown(job_choices(charts.ALL), value=charts.ALL, label="직업")
    figures = _html()
    with gr.Row():
        with gr.Column(min_width=320):
            groups = _html()
        with gr.Column(min_width=320):
            jobs = _html()
    gr.Markdown("## 키워드")
    keyword_note = gr.Markdown()
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            cloud = _html()
        with gr.Column(scale=2, min_width=320):
            words = gr.Dataframe(
                headers=list(charts.KEYWORD_COLUMNS),
                datatype="str",
                interactive=False,
                label="키워드 표",
                show_label=False,
                max_height=420,
                buttons=[],
                column_widths=["27%", "11%", "13%", "17%", "32%"],
            )
    gr.Markdown("## 새 글")
    newest = gr.Dataframe(
        headers=list(charts.NEWEST_COLUMNS),
        # Titles are what strangers wrote: plain text. Only the checked address is a link.
        datatype=["str", "str", "str", "str", "str", "markdown"],
        interactive=False,
        label="새 글 목록",
        show_label=False,
        max_height=520,
        wrap=True,
        elem_classes="mp-newest",
        buttons=[],
        column_widths=["38%", "12%", "17%", "9%", "15%", "9%"],
    )
    shown = gr.State("")  # fingerprint of what the visitor sees: a refresh that changes nothing sends nothing
    outputs = [figures, groups, jobs, keyword_note, cloud, words, newest, shown]

    def on_refresh(period: str, group: str, job: str, seen: str, request: gr.Request) -> Any:
        if job not in job_choices(group):
            job = charts.ALL  # the timer may ring between the choice of a group and the reset of the job
        try:
            data = services.dashboard(Filters(period, group, job), client=client_of(request))
        except Refused as refused:
            gr.Warning(str(refused))
            return [gr.skip()] * len(outputs)
        return [gr.skip()] * len(outputs) if data.fingerprint == seen else _parts(data)

    def on_group(group: str, job: str) -> Any:
        choices = job_choices(group)
        return gr.Dropdown(choices, value=job if job in choices else charts.ALL)

    inputs = [period, group, job, shown]
    quiet: dict[str, Any] = {
        "api_visibility": "private",
        "show_progress": "hidden",
        "concurrency_id": "read",
        "concurrency_limit": 4,
    }
    demo.load(on_refresh, inputs, outputs, **quiet)
    gr.Timer(REFRESH_SECONDS).tick(on_refresh, inputs, outputs, **quiet)
    gr.on([period.input, job.input], on_refresh, inputs, outputs, trigger_mode="always_last", **quiet)
    group.input(on_group, [group, job], job, api_visibility="private", show_progress="hidden").then(
        on_refresh, inputs, outputs, **quiet
    )


def _html() -> gr.HTML:
    """A place for what `app.render` makes, without Gradio's own style of prose."""
    return gr.HTML(elem_classes="mp-html", apply_default_css=False, padding=False)


def _parts(data: Dashboard) -> list[Any]:
    chosen_group, chosen_job = data.filters.group, data.filters.job
    within = "" if chosen_group == charts.ALL else f" ({chosen_group})"
    return [
        render.figures(data),
        render.bars(data.groups, "직업군별 분위기", chosen_group),
        render.bars(data.jobs, f"직업별 분위기{within}", chosen_job),
        render.keyword_note(data),
        render.cloud(data.cloud),
        _cells(charts.keyword_table(data.keywords)),
        _cells(data.newest),
        data.fingerprint,
    ]


def _cells(table: pl.DataFrame) -> dict[str, Any]:
    # Not .to_pandas(): that needs pyarrow, which nothing else here does.
    return {"headers": table.columns, "data": [list(row) for row in table.iter_rows()]}
