"""Gradio's queue, shared fairly: how many events a visitor may have waiting, and how many a minute.

Without it one visitor's events fill the queue for everybody. Counted where an event comes in, because that is the one
gate of the page's own events and of the endpoints, whoever calls them.
"""

import re
import time
from typing import Any

import gradio as gr
from fastapi import HTTPException, Request

from app.limits import Clock, RateLimiter, visitor

WAITING = 8  # events of a visitor in one of the page's queues, running ones included; a page that opens asks for three
_SESSION = re.compile("[0-9A-Za-z_-]{1,64}")
EVENTS_PER_MINUTE, EVENTS_OVER_ALL = 240, 2400  # a page that is looked at asks for five a minute


def share_fairly(demo: gr.Blocks, clock: Clock = time.monotonic) -> None:
    """Put the limits in front of the queue of this page. Call it after `demo.queue()`."""
    queue = demo._queue
    push = queue.push
    rate = RateLimiter(EVENTS_PER_MINUTE, 60, over_all=EVENTS_OVER_ALL, clock=clock)

    async def limited(body: Any, request: Request, username: str | None) -> Any:
        if not _SESSION.fullmatch(body.session_hash or "-"):
            raise HTTPException(400, "session_hash: at most 64 letters and digits")  # it is kept, whatever its size
        client = request.client.host if request.client else "unknown"
        event = demo.fns.get(body.fn_index)
        if event is None or len(body.data or ()) < len(event.inputs):
            raise HTTPException(422, "the event is not one of this page's, or lacks an input")
        if waiting(queue, client, event.concurrency_id) >= WAITING:
            raise HTTPException(429, "앞서 보내신 요청이 끝나면 다시 해 주세요.")
        if seconds := rate.wait(client):
            raise HTTPException(429, f"요청이 너무 잦습니다. {int(seconds) + 1}초 뒤에 다시 해 주세요.")
        return await push(body=body, request=request, username=username)

    queue.push = limited  # type: ignore[method-assign]


def waiting(queue: Any, client: str, concurrency_id: str | None) -> int:
    """How many events of this visitor wait or run under this concurrency id."""
    events = [event for one in queue.event_queue_per_concurrency_id.values() for event in one.queue]
    events += [event for job in queue.active_jobs if job for event in job]
    own = visitor(client)
    return sum(
        event.concurrency_id == concurrency_id
        and event.request.client is not None
        and visitor(event.request.client.host) == own
        for event in events
    )
