"""Why a question brought no label, and what a server's error reply means."""

import re
from enum import StrEnum

NOTE_CHARS = 300  # of a server's own words that are kept


class Kind(StrEnum):
    """What went wrong with one question."""

    NONSENSE = "nonsense"  # it answered, but no label can be read from that
    MALFORMED = "malformed"  # the reply is no completion at all
    EMPTY = "empty"
    THINKING = "thinking"  # the model reasons before it answers
    OVERFLOW = "overflow"  # the text does not fit the context
    FILTERED = "filtered"  # a content filter refuses the text
    REFUSED = "refused"  # the server refuses the question, for another reason
    TIMEOUT = "timeout"
    FAILED = "failed"  # the server broke down over it
    LOADING = "loading"  # the server is up, its model is not
    BUSY = "busy"  # too many questions
    UNREACHABLE = "unreachable"  # nothing is there
    UNAUTHORISED = "unauthorised"
    NO_CREDIT = "no credit"
    NO_MODEL = "no model"
    UNCLEAR_MODEL = "unclear model"  # several could be meant
    OTHER_MODEL = "other model"
    CUT_QUESTION = "cut question"  # the server dropped a part of it without saying so
    WRONG_ADDRESS = "wrong address"

    @property
    def retried(self) -> bool:
        """Asking again may help."""
        return self in _RETRIED

    @property
    def fatal(self) -> bool:
        """No text will get a label from this server until somebody mends it."""
        return self in _FATAL

    @property
    def lasting(self) -> bool:
        """This text will never get a label from this labeler."""
        return self in (Kind.OVERFLOW, Kind.FILTERED)

    @property
    def of_the_text(self) -> bool:
        """The text may be why, not the hour: worth keeping, so that it is not asked for ever."""
        return not self.fatal and self not in (Kind.LOADING, Kind.BUSY, Kind.UNREACHABLE)


_RETRIED = {
    Kind.MALFORMED,
    Kind.EMPTY,
    Kind.TIMEOUT,
    Kind.FAILED,
    Kind.LOADING,
    Kind.BUSY,
    Kind.UNREACHABLE,
}
_FATAL = {
    Kind.UNAUTHORISED,
    Kind.NO_CREDIT,
    Kind.NO_MODEL,
    Kind.UNCLEAR_MODEL,
    Kind.OTHER_MODEL,
    Kind.CUT_QUESTION,
    Kind.WRONG_ADDRESS,
}


class NoLabel(Exception):
    """A question that brought no label. `wait_s`: seconds that the server asked to wait."""

    def __init__(self, kind: Kind, reason: str, wait_s: float = 0.0) -> None:
        self.kind = kind
        self.reason = printable(reason, 2 * NOTE_CHARS)
        self.wait_s = wait_s
        super().__init__(self.reason)


_OVERFLOW = re.compile(
    r"context (size|length|window)|maximum context|context the overflows|exceeds? the (available )?context"
    r"|prompt is too long|too many tokens",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"no models? (is )?(currently )?loaded|failed to load model|model .*(not found|does not exist)", re.IGNORECASE
)
_CRASHED = re.compile(r"crashed|channel error|loading|unloaded", re.IGNORECASE)
_FILTER = re.compile(
    r"content[ _-]?filter|content management|filtered due|moderation|safety (system|policy|filter|setting)|flagged"
    r"|prohibited|usage polic|inappropriate|sensitive content|data_inspection",
    re.IGNORECASE,
)
_CREDIT = re.compile(
    r"insufficient[ _](quota|balance|credit)|credit balance|exceeded your current quota", re.IGNORECASE
)
_NO_LOGPROBS = re.compile(r"logprobs", re.IGNORECASE)


def refusal(status: int, body: object, wait_s: float = 0.0) -> NoLabel:
    """What an error reply means. `body` is its JSON or its text."""
    message, code = error_text(body), _code(body)
    said = f"HTTP {status}: {message}"
    hint = f"{message} {code}"
    if status == 402 or _CREDIT.search(hint):
        return NoLabel(Kind.NO_CREDIT, f"the account has no credit left ({said})")
    if status == 403 and _NO_LOGPROBS.search(message):  # OpenAI's reasoning models: this way of asking, not the key
        return NoLabel(Kind.REFUSED, f"the server refused the question ({said})")
    if status == 451 or (400 <= status < 500 and status not in (401, 404, 429) and _FILTER.search(hint)):
        return NoLabel(Kind.FILTERED, f"a content filter refuses the text ({said})")
    if status in (401, 403):
        return NoLabel(Kind.UNAUTHORISED, f"the server refuses the API key ({said})")
    if _OVERFLOW.search(message):
        return NoLabel(Kind.OVERFLOW, f"context overflow ({said})")
    if _NO_MODEL.search(message):
        return NoLabel(Kind.NO_MODEL, f"no model is loaded ({said})")
    if status == 503 and "loading" in message.lower():
        return NoLabel(Kind.LOADING, f"the server is not ready ({said})", wait_s)
    if status == 429:
        return NoLabel(Kind.BUSY, f"the server is not ready ({said})", wait_s)
    if status in (408, 425) or status >= 500 or _CRASHED.search(message):
        return NoLabel(Kind.FAILED, f"the server is not ready ({said})", wait_s)
    if status == 404 or 300 <= status < 400:
        return NoLabel(Kind.WRONG_ADDRESS, f"nothing answers at this address ({said}): it should end in /v1")
    return NoLabel(Kind.REFUSED, f"the server refused the question ({said})")


def error_text(body: object) -> str:
    """The message in an error body: `{"error": {"message": …}}`, `{"error": …}`, `{"detail": …}`, `{"message": …}`."""
    for _ in range(4):
        if not isinstance(body, dict):
            break
        body = next((body[key] for key in ("error", "detail", "message") if body.get(key)), "no reason given")
    if isinstance(body, list) and body:  # FastAPI: one entry for each field
        first = body[0]
        body = first.get("msg", first) if isinstance(first, dict) else first
    if isinstance(body, dict | list):
        body = "an error of an unknown form"
    return printable(str(body) if isinstance(body, str) else f"{body}"[: 2 * NOTE_CHARS])


def _code(body: object) -> str:
    """An error's `code` and `type`."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    fields = error if isinstance(error, dict) else {}
    return " ".join(value for name in ("code", "type") if isinstance(value := fields.get(name), str))[:200]


def printable(text: str, limit: int = NOTE_CHARS) -> str:
    """One line of it that any file, terminal and database can hold: no control characters, no lone surrogates."""
    cut = " ".join(text[: 10 * limit].split())[:limit]
    return "".join(character if character.isprintable() else "\ufffd" for character in cut)
