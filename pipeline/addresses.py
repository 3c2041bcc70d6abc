"""Addresses of Inven's posts: which post a link leads to, and the one form that we keep.

A link counts only where it really leads: it is resolved against the page that it stands on, and its host must be
that page's or Inven's. Whatever else it is (another site, a script), it is no post's address.
"""

import re
from urllib.parse import parse_qs, urljoin, urlsplit

from pipeline.settings import INVEN, INVEN_MOBILE

HOSTS = frozenset({"inven.co.kr", *(urlsplit(site).hostname for site in (INVEN, INVEN_MOBILE))})
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})
LARGEST = 2**31 - 1  # what an integer column of the database holds

# A path may begin with where a site's pages stand: the replay serves its mobile site below /m.
_PATH = re.compile(r"(?:/m)?/board/maple/([0-9]{1,9})/([0-9]{1,10})/?")
_PLAIN = re.compile(_PATH.pattern + r"(?:[?#].*)?")  # most links of a page are; the rest takes the long way


def post_address(board_id: int, post_id: int, site: str = INVEN) -> str:
    """A post's own address at a site (http://…, without a slash at its end)."""
    return f"{site}/board/maple/{board_id}/{post_id}"


def post_of(link: str, page: str = INVEN) -> tuple[int, int] | None:
    """Board and post id that a link on `page` leads to; None for every other link.

    Links carry the list's query along: the path counts. The old form /powerbbs.php?come_idx=…&l=… counts as well.
    """
    if match := _PLAIN.fullmatch(link):
        return _ids(match[1], match[2])
    try:
        target = urlsplit(urljoin(page, link.strip()))
        if target.scheme not in ("http", "https"):
            return None
        if target.netloc != urlsplit(page).netloc and target.hostname not in HOSTS:
            return None
    except ValueError:  # not an address
        return None
    if match := _PATH.fullmatch(target.path):
        return _ids(match[1], match[2])
    if target.path.endswith("/powerbbs.php"):
        query = parse_qs(target.query)
        board, post = (query.get(name, [""])[0] for name in ("come_idx", "l"))
        if re.fullmatch(r"[0-9]{1,9}", board) and re.fullmatch(r"[0-9]{1,10}", post):
            return _ids(board, post)
    return None


def is_on_the_site(address: str) -> bool:
    """Whether an address that was stored stands on Inven, or on this machine: there a replay of it is served."""
    try:
        parts = urlsplit(address)
    except ValueError:  # not an address
        return False
    return parts.scheme in ("http", "https") and parts.hostname in HOSTS | _HERE


def _ids(board: str, post: str) -> tuple[int, int] | None:
    return (int(board), int(post)) if 0 < int(post) <= LARGEST else None
