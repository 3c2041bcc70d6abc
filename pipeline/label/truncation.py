"""Does a server cut a prompt that is too long for it, without saying so? Then the instructions are gone, not the post.

Ollama does (it drops the oldest messages). It is seen in the tokens that the server counts: a whole question must
have as many as its parts together, and a long post must add to a question what it adds to a short one.
"""

import asyncio
import logging
from dataclasses import dataclass

from pipeline.label.no_label import Kind, NoLabel
from pipeline.label.prompt import Prompt, shown_text
from pipeline.label.records import LabelServerError
from pipeline.label.server import PROBE, Messages, Server

log = logging.getLogger(__name__)

DENSER = 1.5  # times the tokens of ordinary words of the same length: none of 700 posts looked at has more (1.45)
_SLACK = 8  # tokens: words join differently at a seam
_SLACK_SHARE = 0.01  # of what a long post adds


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens of a question with a short post and with a long one, and of their parts, as the server counts them."""

    short: int
    long: int
    first: int  # the first turn alone: the instructions
    rest: int  # the others, with the short post
    short_alone: int  # the short post's turn
    long_alone: int

    @property
    def post(self) -> int:
        """What the long post adds to a question with the short one."""
        return self.long_alone - self.short_alone

    @property
    def fixed(self) -> int:
        """Of any question at least: what stands before the post."""
        return self.short - self.short_alone

    @property
    def prompt_is_cut(self) -> bool:
        """Whether the prompt is too long even with the short post. Each part has a chat template's frame beside it."""
        return self.first + self.rest - self.short_alone > self.short

    @property
    def lost(self) -> int:
        """Tokens that are missing from a question."""
        before = self.first + self.rest - self.short_alone - self.short
        within = self.post - (self.long - self.short)
        slack = _SLACK + _SLACK_SHARE * self.post
        return max(before if self.prompt_is_cut else 0, within if within > slack else 0)


def long_post(prompt: Prompt, chars: int) -> str:
    """A shown post with as many tokens as one of `chars` characters may have, of the prompt's own calibration texts."""
    text = " ".join(f"{item.title} {item.body}" for item in prompt.calibration)
    length = int(chars * DENSER)
    return shown_text("", (text + " ") * (length // len(text) + 1), length)


async def require_whole(server: Server, prompt: Prompt, chars: int) -> Counts | None:
    """Raise LabelServerError when a question with a post of `chars` characters is cut, or refused for its length.

    Asks five questions. None where it can't be seen: the server does not count, or counts the same whatever is asked.
    """
    url = server.profile.url
    try:
        counts = await _counts(server, prompt, chars)
    except NoLabel as refusal:
        fits = await _fitting(server, prompt, chars, None)
        raise LabelServerError(
            f"{url} refuses a post of {chars} characters: {refusal.reason}. {server.advice(_CUT)}"
            + (f", or set label.max_chars to {fits}" if fits else "")
        ) from None
    if counts is None:
        server.unchecked = "does not count what a question has: whether it cuts long ones can't be checked"
        log.warning("%s %s", url, server.unchecked)
        return None
    if counts.lost:
        due = counts.long + counts.lost
        fits = None if counts.prompt_is_cut else await _fitting(server, prompt, chars, counts)
        raise LabelServerError(
            f"{url} cuts what is longer than its context without saying so: of a question with a post of {chars} "
            f"characters {counts.lost:,} of {due:,} tokens are gone. {server.advice(_CUT)}: "
            f"{due + due // 4:,} tokens or more" + (f", or set label.max_chars to {fits}" if fits else "")
        )
    server.least_tokens = counts.fixed
    return counts


_CUT = NoLabel(Kind.CUT_QUESTION, "")


async def _counts(server: Server, prompt: Prompt, chars: int) -> Counts | None:
    """None when the server does not count, refuses a question, or counts the same whatever is asked."""
    short = server.profile.prompt_tokens
    post, whole, longest = prompt.question(PROBE), prompt.messages(PROBE), long_post(prompt, chars)
    if short is None or (short_alone := await _count(server, [{"role": "user", "content": post}])) is None:
        return None
    if short_alone >= short:
        return None
    found: list[int] = []
    # First what begins like the probe: the server has that in its cache.
    for messages in (whole[:1], prompt.messages(longest), whole[2:], prompt.messages(longest)[-1:]):
        tokens = await _count(server, messages)
        if tokens is None:
            return None
        found.append(tokens)
    first, long, rest, long_alone = found
    return Counts(short, long, first, rest, short_alone, long_alone)


async def _count(server: Server, messages: Messages) -> int | None:
    """Tokens of a prompt; None where nobody tells. Raises NoLabel when it is too long."""
    for pause in (1.0, 5.0, None):
        try:
            return await server.prompt_tokens(messages)
        except NoLabel as problem:
            if problem.kind is Kind.OVERFLOW:
                raise
            if problem.kind.fatal:
                raise LabelServerError(
                    f"{server.profile.url} did not answer a trial question: {problem.reason}. {server.advice(problem)}"
                ) from None
            if not problem.kind.retried or pause is None:
                return None
            await asyncio.sleep(pause)
    return None


async def _fitting(server: Server, prompt: Prompt, chars: int, counts: Counts | None) -> int | None:
    """A length of post that is neither cut nor refused: half of this one, or a quarter."""
    for shorter in (chars // 2, chars // 4):
        try:
            tokens = await _count(server, prompt.messages(long_post(prompt, shorter)))
        except NoLabel:
            continue
        due = counts.short + 0.8 * counts.post * shorter / chars - _SLACK if counts else 0
        if tokens and tokens >= due:
            return shorter
    return None
