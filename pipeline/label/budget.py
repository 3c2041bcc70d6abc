"""Does what a post may take fit a server's context? Known before a chunk begins, not from its overflows.

A token is never less than a byte of UTF-8, so a text of N bytes has at most N tokens in any vocabulary with byte
tokens: what has room by that bound has room for certain. Beyond it llama.cpp's `/tokenize` counts exactly where it is
there; where it is not, `label.max_chars` must keep to the bound.
"""

import logging
from collections.abc import Sequence

from pipeline.label.prompt import Prompt
from pipeline.label.records import LabelServerError
from pipeline.label.server import PROBE, Server, ServerProfile, decoding
from pipeline.label.truncation import require_whole

log = logging.getLogger(__name__)

BYTES_A_CHAR = 4  # of UTF-8, at most


def room_for_post(profile: ServerProfile, prompt: Prompt) -> int | None:
    """Tokens that a post may take beside the prompt and the answer; None where the server tells no context."""
    if profile.context is None:
        return None
    answer = decoding(profile.mode, prompt.words, profile.thinking_off)["max_tokens"]
    # As the server counted the probe's question (its short post included), else the bound for that.
    asked = profile.prompt_tokens or sum(len(turn["content"].encode()) for turn in prompt.messages(PROBE))
    return int(profile.context - asked - answer)


async def require_room(server: Server, prompt: Prompt, texts: Sequence[str], max_chars: int, spare: float) -> None:
    """Raise LabelServerError when posts of `max_chars` characters may not fit; says what would.

    A server that is not known to refuse what is too long is tried with such a post (`truncation`). With a tokenizer
    these very texts count: a share of up to `spare` may be too long (they get no label).
    """
    profile = server.profile
    counted = None if server.family.refuses_overflow else await require_whole(server, prompt, max_chars)
    room = room_for_post(profile, prompt)
    most = max_chars * BYTES_A_CHAR
    if counted:
        most = min(most, counted.post)
    if room is None or most <= room:
        return
    suspects = [text for text in texts if len(text.encode()) > room]
    counts = await server.count_tokens(suspects or [PROBE[:1]]) if room > 0 else None
    if counts is not None:
        too_long = sum(count > room for count in counts)
        if too_long <= spare * len(texts):
            if too_long:
                log.warning("%s: %d of %d texts have more than %d tokens", profile.url, too_long, len(texts), room)
            return
        problem = f"{too_long} of {len(texts)} texts have more than that"
    else:
        problem = f"label.max_chars {max_chars} may take {most:,}"
    needed = (profile.context or 0) - room + most
    fitting = max_chars * room // most
    fits = f", or set label.max_chars to {fitting}" if fitting >= 50 else ""
    raise LabelServerError(
        f"{profile.url} has a context of {profile.context:,} tokens, which leaves {max(room, 0):,} for a post beside "
        f"the prompt {prompt.name}; {problem}. Load the model with {needed:,} tokens of context or more "
        f"({server.family.more_context}){fits}"
    )
