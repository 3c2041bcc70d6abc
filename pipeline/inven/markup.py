"""What every page of Inven's has in common for a parser: addresses, numbers, text as a reader sees it.

What a page may cost is bounded before its tree is built (`page_of`): within the bounds every step here and in the
parsers takes seconds at the very worst, beyond them the page is a Failure of the kind `excess`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from lxml import etree
from parsel.csstranslator import HTMLTranslator

from pipeline.addresses import LARGEST, post_of
from pipeline.inven.records import GONE_SAID, Failure
from pipeline.text import normalise

_GONE_TEXTS = (
    "요청하신 페이지를 찾을 수 없습니다",
    "삭제된 게시물",
    "존재하지 않는 게시물",
    "존재하지 않는 글",
)
_LOGIN_TEXTS = ("로그인이 필요", "로그인 후 이용", "로그인을 하셔야")
_NUMBER = re.compile(r"[0-9][0-9,]*")
_CATEGORY_LENGTH = 100  # characters; the database column's

_BLOCKS = {
    *("address", "article", "blockquote", "center", "dd", "dl", "dt", "div", "figcaption", "figure", "footer"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "hr", "header", "li", "main", "ol", "p", "pre", "section", "table"),
    *("tbody", "tr", "ul"),
}
_UNSEEN = {"script", "style", "noscript", "template", "iframe", "textarea", "select", "button", "object"}
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_BREAK, _BLOCK = "\n", "\x1e"  # a line break; the edge of a block, of which neighbours share one
_INLINE = {"br": _BREAK, "td": " ", "th": " "}

# A list has about 3,000 elements, 25 deep, with up to 10 attributes; a long guide some 10,000. Beyond these bounds work
# grows with the square of the page (building an element is quadratic in its attributes) or with depth times breadth.
MOST_ELEMENTS = 50_000
MOST_ATTRIBUTES = 200  # of one element
DEEPEST = 250
_HARMLESS = 8 * 1024  # bytes; too few to cost much, whatever they say

_MOST_BODIES = 5  # containers of an article that are looked at
_TITLE_NODES = 500  # elements that a title is read from; a real one has two or three
_LABELS = frozenset({"category", "in-cate"})
_BADGES = ("con-comment", "icon", "board-img")

Element = Any  # lxml's; its own type checks are no use here
_Record = TypeVar("_Record")
# Plain elements: those of lxml.html are looked up by a function in Python, one by one.
_PARSER = etree.HTMLParser(recover=True, encoding="utf-8", huge_tree=True)
_texts = etree.XPath("//text()", smart_strings=False)
_string = etree.XPath("string()", smart_strings=False)  # without comments


def css(selector: str) -> Callable[[Element], list[Element]]:
    """The elements below another that a CSS selector finds, in order. Compiled once: five times as fast as anew.

    For one step alone: see `all_below`.
    """
    path: Callable[[Element], list[Element]] = etree.XPath(HTMLTranslator().css_to_xpath(selector))
    return path


def is_a(tag: str = "", *, name: str = "", id: str = "") -> Callable[[Element], bool]:
    """Whether an element has this tag, this class and this id, as far as they are given."""

    def fits(element: Element) -> bool:
        return (
            (not tag or element.tag == tag)
            and (not id or element.get("id") == id)
            and (not name or name in (element.get("class") or "").split())
        )

    return fits


def all_below(root: Element, *steps: Callable[[Element], bool]) -> Iterator[Element]:
    """The elements that the last step fits, below one that the step before fits, and so on; in document order.

    Looks at each element once. A selector such as `#a .b table` takes minutes where these are inside each other.
    """
    last = len(steps) - 1
    stack = [(child, 0) for child in reversed(root)]
    while stack:
        element, fitted = stack.pop()
        if not isinstance(element.tag, str):  # a comment
            continue
        if steps[fitted](element):
            if fitted == last:
                yield element
            fitted = min(fitted + 1, last)
        stack.extend((child, fitted) for child in reversed(element))


def guarded(parse: Callable[[], _Record | Failure], url: str) -> _Record | Failure:
    """The parser's result. Whatever markup does to the libraries below, one page must not end a crawl."""
    try:
        return parse()
    except Excess as error:
        return Failure("excess", url, str(error))
    except Exception as error:
        return Failure("drift", url, f"the parser failed: {type(error).__name__}: {error}"[:300])


class Excess(ValueError):
    """A page has more markup than any list or post. The message says what there is too much of."""


class _Count:
    """What the parser calls in a first pass, which builds nothing: how much markup there is."""

    def __init__(self) -> None:
        self.elements = self.attributes = self.deepest = self._depth = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.elements += 1
        self._depth += 1
        self.deepest = max(self.deepest, self._depth)
        self.attributes = max(self.attributes, len(attributes))

    def end(self, tag: str) -> None:
        self._depth -= 1

    def close(self) -> "_Count":
        return self


def _bounded(content: bytes) -> None:
    """Raise Excess for a page that would take long. Linear in its size."""
    parser = etree.HTMLParser(target=_Count(), recover=True, encoding="utf-8", huge_tree=True)
    count: Any = etree.fromstring(content, parser)
    for found, most, what in (
        (count.elements, MOST_ELEMENTS, "elements"),
        (count.attributes, MOST_ATTRIBUTES, "attributes of one element"),
        (count.deepest, DEEPEST, "elements inside each other"),
    ):
        if found > most:
            raise Excess(f"too much markup: {found} {what}, at most {most} are read")


def page_of(content: bytes) -> Element:
    """The parsed page. Real pages hold isolated bad bytes: they don't cost the rest of the page. Raises Excess."""
    text = content.decode("utf-8", errors="replace").replace("\x00", "").strip()
    plain = text.encode()
    if len(plain) > _HARMLESS:
        _bounded(plain)
    root = etree.fromstring(plain, _PARSER) if text else None
    return etree.fromstring(b"<html/>", _PARSER) if root is None else root


def without_scripts(element: Element) -> None:
    """Take out what no reader sees: in titles and dates its source would count as text."""
    etree.strip_elements(element, "script", "style", "noscript", "template", with_tail=False)


def post_id_of(href: str, board_id: int, url: str) -> int | None:
    """The post of this board that a link on the page `url` leads to (`pipeline.addresses`)."""
    found = post_of(href, url)
    return found[1] if found and found[0] == board_id else None


def body_of(root: Any) -> str:
    """The text of an element as a reader sees it: lines end at <br> and at the edges of blocks.

    Walks with a stack of its own: markup nested a thousand deep is no recursion error.
    """
    parts: list[str] = []
    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        element, left = stack.pop()
        tag = element.tag if isinstance(element.tag, str) else ""  # comments have a function here
        edge = _BLOCK if tag in _BLOCKS else ""
        hidden = not tag or tag in _UNSEEN or _HIDDEN.search(element.get("style") or "")
        if not left and (element is root or not hidden):
            parts += [edge, _INLINE.get(tag, ""), _flat(element.text)]
            stack.append((element, True))
            stack.extend((child, False) for child in reversed(element))
            continue
        if left:
            parts.append(edge)
        if element is not root:
            parts.append(_flat(element.tail))
    # A block's last <br> draws no line of its own, and neighbouring edges make one line end.
    text = re.sub(rf" *{_BREAK}? *{_BLOCK}[ {_BLOCK}]*", _BREAK, "".join(parts))
    return normalise(text)


def body_among(found: Sequence[Element]) -> tuple[Element, str, str]:
    """Of an article's containers (on most pages one) the first with text, its text, and a remark if others come before.

    Without text in any, the first that holds anything: pictures.
    """
    texts = [(element, body_of(element)) for element in found[:_MOST_BODIES]]
    filled = next((pair for pair in texts if pair[1]), None)
    element, text = filled or next((pair for pair in texts if len(pair[0]) or pair[0].text), texts[0])
    if element is found[0]:
        return element, text, ""
    return element, text, f"{len(found)} body containers, the first of them without text: the first with text counts"


def title_of(element: Element) -> str:
    """The text of a title on one line, without its label and badges. Looks at each element once."""
    return line_of("".join(_title_texts(element)))


def _title_texts(title: Element) -> Iterator[str]:
    stack: list[tuple[Element, bool]] = [(title, False)]
    seen = 0
    while stack and seen < _TITLE_NODES:
        element, left = stack.pop()
        if left:
            yield element.tail or ""
            continue
        seen += 1
        if element is not title:
            stack.append((element, True))
        if isinstance(element.tag, str) and not _is_badge(element):
            yield element.text or ""
            stack.extend((child, False) for child in reversed(element))


def _is_badge(element: Element) -> bool:
    names = (element.get("class") or "") if element.tag == "span" else ""
    return not _LABELS.isdisjoint(names.split()) or any(part in names for part in _BADGES)


def _flat(text: str | None) -> str:
    """Source text as HTML shows it: white space of any kind, and separators of ours, are one space."""
    return re.sub(r"[\s\x1c-\x1f]+", " ", text) if text else ""


def no_frame(page: Element, url: str) -> Failure | None:
    """Why there is nothing on a page, if the page says so."""
    text = line_of(" ".join(_texts(page)))
    if any(phrase in text for phrase in _GONE_TEXTS):
        return Failure("gone", url, GONE_SAID)
    if any(phrase in text for phrase in _LOGIN_TEXTS):
        return Failure("login", url, "the site shows this page to members only")
    return None


def first(found: list[Element]) -> Element | None:
    """The first of the elements found."""
    return found[0] if found else None


def text_of(element: Element | None) -> str:
    """The element's text on one line, "" without one."""
    return "" if element is None else line_of(_string(element))


def line_of(text: str) -> str:
    """The normalised text on one line."""
    if text.isascii() and text.isprintable():  # numbers and dates have nothing to normalise
        return " ".join(text.split())
    return " ".join(normalise(text).split())


def category_of(text: str) -> str | None:
    """The category that a label such as `[히어로]` names."""
    return text.strip("[] ")[:_CATEGORY_LENGTH] or None


def number_in(text: str) -> int:
    """The first number of a text, 0 without one, at most what the database holds."""
    match = _NUMBER.search(text)
    if match is None:
        return 0
    return min(int(match[0].replace(",", "")[:12]), LARGEST)


def number_after(word: str, text: str) -> int:
    """The first number after a word."""
    return number_in(text.partition(word)[2])
