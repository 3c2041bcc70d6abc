"""Parts of a Markdown page that a command writes: all between `<!-- KIND NAME -->` and `<!-- end KIND -->`."""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files import write_text


class PageError(UserError):
    """A page's marks don't fit what is to be written. The message names the page and the mark."""


def names(text: str, kind: str) -> list[str]:
    """The names of the parts of that kind in a page, in order."""
    return re.findall(rf"^<!-- {kind} (\S+) -->$", text, re.MULTILINE)


def filled(text: str, kind: str, make: Callable[[str], str]) -> str:
    """The page with each part of that kind as `make(name)` gives it. Raises PageError for a part without an end."""
    begun, ended = len(names(text, kind)), len(re.findall(rf"^<!-- end {kind} -->$", text, re.MULTILINE))
    if begun != ended:
        raise PageError(f"{begun} '<!-- {kind} NAME -->' but {ended} '<!-- end {kind} -->': each part needs both")
    pattern = re.compile(rf"^<!-- {kind} (\S+) -->\n.*?^<!-- end {kind} -->$", re.DOTALL | re.MULTILINE)
    return pattern.sub(lambda found: f"<!-- {kind} {found[1]} -->\n{make(found[1])}\n<!-- end {kind} -->", text)


def refresh(pages: Sequence[Path], kind: str, make: Callable[[str], str], *, check: bool) -> int:
    """Write the parts of these pages anew; with `check` only say which are stale. Status 1 when there was one."""
    stale = []
    for page in pages:
        before = page.read_text(encoding="utf-8")
        try:
            after = filled(before, kind, make)
        except PageError as error:
            raise PageError(f"{page}: {error}") from None
        if after != before:
            stale.append(page)
            if not check:
                write_text(page, after)
    for page in stale:
        print(f"{page}: {'stale, run `make fix`' if check else 'written anew'}", file=sys.stderr)
    return int(check and bool(stale))
