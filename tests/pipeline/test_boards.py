"""The domain table: 48 jobs, exact categories, and nicknames that are whole words."""

import pytest

from pipeline import boards

# Inven's category labels per board, as its own menus show them.
CATEGORIES = {
    2294: "히어로 팔라딘 다크나이트 소울마스터 아란 데몬슬레이어 미하일 카이저 데몬어벤져 제로 블래스터 아델 렌",
    2295: "아크(불독) 아크(썬콜) 비숍 플레임위자드 에반 배틀메이지 루미너스 키네시스 일리움 라라 레테",
    2296: "보우마스터 신궁 윈드브레이커 와일드헌터 메르세데스 패스파인더 카인",
    2297: "나이트로드 섀도어 나이트워커 듀얼블레이드 괴도팬텀 카데나 호영 칼리",
    2298: "메카닉 바이퍼 캡틴 스트라이커 캐논슈터 엔젤릭버스터 제논 은월 아크",
}


def test_there_are_48_jobs_in_five_groups() -> None:
    assert len(boards.JOBS) == len({job.name for job in boards.JOBS}) == 48
    assert [len(boards.jobs_of_group(group)) for group in boards.GROUPS] == [13, 11, 7, 8, 9]
    assert boards.CRAWLED == (2294, 2295, 2296, 2297, 2298, 5974)


@pytest.mark.parametrize("board_id", CATEGORIES)
def test_every_category_names_its_own_job(board_id: int) -> None:
    jobs = [boards.job_of_category(board_id, label) for label in CATEGORIES[board_id].split()]
    assert None not in jobs
    assert {job.name for job in jobs if job} == {
        job.name for job in boards.jobs_of_group(boards.board(board_id).group or "")
    }


@pytest.mark.parametrize(
    ("board_id", "category", "name"),
    [
        (2295, "아크(썬콜)", "아크메이지(썬,콜)"),
        (2298, "아크", "아크"),
        (2295, "아크", None),
        (2294, "아크", None),
        (2297, "괴도팬텀", "팬텀"),
        (2297, "제논", "제논"),
        (2294, "핑크빈", None),
        (2294, "예티", None),
        (2294, "기타", None),
        (2294, "새로운직업", None),
        (2294, " 히어로 ", "히어로"),
        (2294, "히어로즈", None),
        (2294, None, None),
        (9999, "히어로", None),
    ],
)
def test_categories_are_matched_exactly(board_id: int, category: str | None, name: str | None) -> None:
    job = boards.job_of_category(board_id, category)
    assert (job.name if job else None) == name


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("썬콜은 왜 이럼", "아크메이지(썬,콜)"),
        ("듀블이 최고다", "듀얼블레이드"),
        ("나로도 좋아졌네", "나이트로드"),
        ("285나로 스펙 봐주세요", "나이트로드"),
        ("불독ㅋㅋㅋ", "아크메이지(불,독)"),
        ("아크(썬콜) 질문", "아크메이지(썬,콜)"),
        ("아크메이지(불,독) 키우기", "아크메이지(불,독)"),
        ("다크 나이트 복귀함", "다크나이트"),
        ("[질문] 엔버한테 좋은 링크", "엔젤릭버스터"),
        ("아크 너무 불쌍하다", "아크"),
        ("괴도 팬텀이랑 펜텀", "팬텀"),
        ("비숍인데요 파티 구함", "비숍"),
        ("썬콜 vs 불독", None),
        ("나로 인해 망한 파티", None),
        ("쉴 새도 없이 나오는 패치", None),
        ("로스트아크나 하러 감", None),
        ("제로 콜라 마시면서 사냥", None),
        ("아크메이지 뭐가 좋음", None),
        ("밥 먹고 옴", None),
        ("숍 메카 스트 다크 소울 엔젤", None),
        ("렌트카 메르스 썬콜라", None),
        ("그냥 잡담", None),
        ("", None),
    ],
)
def test_a_title_names_a_job_by_whole_words(title: str, name: str | None) -> None:
    job = boards.job_of_title(title)
    assert (job.name if job else None) == name


def test_decomposed_hangul_is_the_same_word() -> None:
    import unicodedata

    job = boards.job_of_title(unicodedata.normalize("NFD", "썬콜은 왜"))
    assert job is not None
    assert job.name == "아크메이지(썬,콜)"


@pytest.mark.parametrize(
    ("board_id", "category", "title", "group", "name"),
    [
        (2294, "히어로", "썬콜이 부럽다", "전사", "히어로"),
        (2294, "기타", "팔라딘 어때요", "전사", "팔라딘"),
        (2294, "기타", "썬콜이 부럽다", "전사", None),
        (2294, "핑크빈", "히어로 친구", "전사", None),
        (2297, "기타", "제논은 도적인가", "도적", "제논"),
        (2298, "제논", "버프 좀", "해적", "제논"),
        (5974, "수다", "썬콜이 부럽다", "마법사", "아크메이지(썬,콜)"),
        (5974, "수다", "점심 추천", None, None),
        (5974, None, "제논 하는 사람", "해적", "제논"),
    ],
)
def test_job_and_group_of_a_post(
    board_id: int, category: str | None, title: str, group: str | None, name: str | None
) -> None:
    job = boards.job_of_post(board_id, category, title)
    assert (job.name if job else None) == name
    assert boards.group_of(board_id, job) == group


def test_an_unknown_board_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match="2294"):
        boards.board(1)
