"""Which post a link leads to: resolved against its page, its host checked."""

import pytest

from pipeline.addresses import is_on_the_site, post_address, post_of

PC, MOBILE = "https://www.inven.co.kr", "https://m.inven.co.kr"
LIST = f"{PC}/board/maple/2294?p=3"


def test_the_address_that_we_keep_leads_back() -> None:
    assert post_address(2294, 7) == f"{PC}/board/maple/2294/7"
    assert post_of(post_address(2294, 7)) == (2294, 7)
    assert post_of(post_address(2294, 7, "http://127.0.0.1:8100"), "http://127.0.0.1:8100/board/maple/2294") == (
        2294,
        7,
    )


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("/board/maple/2294/7", (2294, 7)),
        ("/board/maple/2294/7/?my=chu&p=3#comment", (2294, 7)),
        (" /board/maple/2294/7\n", (2294, 7)),
        ("2294/7", (2294, 7)),  # relative to the list's own address
        ("../maple/5974/8", (5974, 8)),
        (f"{PC}/board/maple/2294/7?p=3", (2294, 7)),
        (f"{MOBILE}/board/maple/2294/7", (2294, 7)),
        ("http://inven.co.kr/board/maple/2294/7", (2294, 7)),
        ("//m.inven.co.kr/board/maple/2294/7", (2294, 7)),
        ("HTTPS://WWW.INVEN.CO.KR/board/maple/2294/7", (2294, 7)),
        (f"{PC}/board/powerbbs.php?come_idx=2294&l=7", (2294, 7)),
        ("powerbbs.php?come_idx=2294&l=7", (2294, 7)),
        ("", None),
        ("#", None),
        ("/board/maple/2294", None),
        ("/board/maple/2294/0", None),
        ("/board/maple/2294/2147483648", None),
        ("/board/maple/2294/７", None),
        ("/news/board/maple/2294/7", None),
        ("https://elsewhere.example/board/maple/2294/7", None),
        ("//elsewhere.example/board/maple/2294/7", None),
        ("https://www.inven.co.kr.evil.example/board/maple/2294/7", None),
        ("https://www.inven.co.kr@evil.example/board/maple/2294/7", None),
        ("https://evil.example/?u=https://www.inven.co.kr/board/maple/2294/7", None),
        ("javascript:alert(1)//board/maple/2294/7", None),
        ("javascript://www.inven.co.kr/board/maple/2294/7", None),
        ("data:text/html,/board/maple/2294/7", None),
        ("ftp://www.inven.co.kr/board/maple/2294/7", None),
        ("https://[half/board/maple/2294/7", None),
        (f"{PC}/board/powerbbs.php?come_idx=2294&l=x", None),
    ],
)
def test_links(link: str, found: tuple[int, int] | None) -> None:
    assert post_of(link, LIST) == found


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"{PC}/board/maple/2294/7", True),
        (f"{MOBILE}/board/maple/2294/7?p=3", True),
        ("http://127.0.0.1:8100/board/maple/2294/7", True),
        ("https://elsewhere.example/board/maple/2294/7", False),
        ("https://www.inven.co.kr.evil.example/board/maple/2294/7", False),
        ("https://www.inven.co.kr@evil.example/board/maple/2294/7", False),
        ("javascript://www.inven.co.kr/%0aalert(1)", False),
        ("/board/maple/2294/7", False),
        ("https://[half", False),
        ("", False),
    ],
)
def test_what_may_be_shown_as_a_link(address: str, shown: bool) -> None:
    assert is_on_the_site(address) is shown
