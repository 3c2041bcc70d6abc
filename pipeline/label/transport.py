"""The HTTP client that LLM servers are asked with: no reply may be larger than memory bears."""

from collections.abc import AsyncIterator

import httpx

from pipeline.environment import is_this_machine
from pipeline.label.no_label import Kind, NoLabel

MAX_REPLY = 4 * 2**20  # bytes: an honest reply is not a hundredth of that


class _Limited(httpx.AsyncByteStream):
    """A reply's bytes. Raises NoLabel when there are too many."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._stream:
            size += len(part)
            if size > MAX_REPLY:
                raise NoLabel(Kind.MALFORMED, f"the reply is longer than {MAX_REPLY:,} bytes")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _limit(response: httpx.Response) -> None:
    packed = response.headers.get("content-encoding", "identity")
    if packed != "identity":  # not asked for; a small one may unpack to more than memory holds
        raise NoLabel(Kind.MALFORMED, f"the reply is packed ({packed[:20]})")
    if isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Limited(response.stream)


def client(url: str, api_key: str, timeout_s: float) -> httpx.AsyncClient:
    """A client for this address. A proxy set for the web is no way to this machine. Raises NoLabel."""
    headers = {"Accept-Encoding": "identity", "Authorization": f"Bearer {api_key or 'not-needed'}"}
    try:
        return httpx.AsyncClient(
            headers=headers,
            timeout=timeout_s,
            trust_env=not is_this_machine(url),
            limits=httpx.Limits(max_connections=None),
            event_hooks={"response": [_limit]},
        )
    except UnicodeError:
        raise NoLabel(Kind.UNAUTHORISED, "LLM_API_KEY has characters that no header can carry") from None
    except ValueError as error:
        raise NoLabel(Kind.WRONG_ADDRESS, f"{url} is no address ({error})") from None
