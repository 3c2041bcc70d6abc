"""The domain's one table: Inven's MapleStory boards, the five job groups and the 48 jobs.

Board ids, rows per page and category labels are Inven's own, collected from public crawlers that agree
(July 2026); the official job names and groups are those of maplestory.nexon.com (Guide/N23Job). A category
is matched exactly: `아크` (a pirate) begins the labels of two mages. A nickname stands here only if it means
one job and is no ordinary word, so 밥, 숍, 메카, 스트, 다크, 소울 and 엔젤 are left out.
"""

import re
import unicodedata
from dataclasses import dataclass

GROUPS = ("전사", "마법사", "궁수", "도적", "해적")
FREE_BOARD = 5974


@dataclass(frozen=True, slots=True)
class Board:
    """One board. `group` is None where posts of every job stand; `rows` is posts per page without notices."""

    id: int
    name: str
    group: str | None
    rows: int
    crawled: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `categories` are Inven's labels for it, `aliases` what players write for it and nothing else.

    `groups` has the group of the job's board first; only 제논 officially belongs to a second one.
    """

    name: str
    groups: tuple[str, ...]
    categories: tuple[str, ...]
    aliases: tuple[str, ...]

    @property
    def group(self) -> str:
        """The group of the job's own board."""
        return self.groups[0]


BOARDS = (
    Board(2294, "전사", "전사", 40),
    Board(2295, "마법사", "마법사", 40),
    Board(2296, "궁수", "궁수", 40),
    Board(2297, "도적", "도적", 40),
    Board(2298, "해적", "해적", 40),
    Board(FREE_BOARD, "자유 게시판", None, 70),
)
CRAWLED = tuple(entry.id for entry in BOARDS if entry.crawled)


def _job(name: str, group: str, *aliases: str, label: str | None = None, also: tuple[str, ...] = ()) -> Job:
    return Job(name, (group, *also), (label or name,), aliases)


# Aliases with a space also match without it, and the other way round: see `_spaced`.
JOBS = (
    _job("히어로", "전사"),
    _job("팔라딘", "전사", "팔라"),
    _job("다크나이트", "전사", "다크 나이트", "닼나", "다낰"),
    _job("소울마스터", "전사", "소울 마스터", "소마"),
    _job("미하일", "전사"),
    _job("블래스터", "전사", "블래"),
    _job("데몬슬레이어", "전사", "데몬 슬레이어", "데슬"),
    _job("데몬어벤져", "전사", "데몬 어벤져", "데벤", "데벤져"),
    _job("아란", "전사"),
    _job("카이저", "전사", "카이져"),
    _job("아델", "전사"),
    _job("렌", "전사"),
    _job("제로", "전사"),
    _job("아크메이지(불,독)", "마법사", "아크 메이지 (불,독)", "아크(불,독)", "불독", label="아크(불독)"),
    _job("아크메이지(썬,콜)", "마법사", "아크 메이지 (썬,콜)", "아크(썬,콜)", "썬콜", label="아크(썬콜)"),
    _job("비숍", "마법사"),
    _job("플레임위자드", "마법사", "플레임 위자드", "플위"),
    _job("배틀메이지", "마법사", "배틀 메이지", "배메", "배매"),
    _job("에반", "마법사"),
    _job("루미너스", "마법사", "루미"),
    _job("일리움", "마법사"),
    _job("라라", "마법사"),
    _job("키네시스", "마법사", "키네", "키시"),
    _job("레테", "마법사"),
    _job("보우마스터", "궁수", "보우 마스터", "보마"),
    _job("신궁", "궁수"),
    _job("패스파인더", "궁수", "패파"),
    _job("윈드브레이커", "궁수", "윈드 브레이커", "윈브"),
    _job("와일드헌터", "궁수", "와일드 헌터", "와헌"),
    _job("메르세데스", "궁수", "메르", "메세"),
    _job("카인", "궁수"),
    _job("나이트로드", "도적", "나이트 로드", "나로"),
    _job("섀도어", "도적", "섀도", "새도"),
    _job("듀얼블레이드", "도적", "듀얼 블레이드", "듀블"),
    _job("나이트워커", "도적", "나이트 워커", "나워"),
    _job("팬텀", "도적", "팬텀", "괴도 팬텀", "펜텀", label="괴도팬텀"),
    _job("카데나", "도적"),
    _job("칼리", "도적"),
    _job("호영", "도적"),
    _job("바이퍼", "해적", "밮"),
    _job("캡틴", "해적"),
    _job("캐논슈터", "해적", "캐논 슈터", "캐슈"),
    _job("스트라이커", "해적", "스커"),
    _job("메카닉", "해적"),
    _job("은월", "해적"),
    _job("엔젤릭버스터", "해적", "엔젤릭 버스터", "엔버"),
    _job("아크", "해적"),
    _job("제논", "해적", "죄논", also=("도적",)),
)

# Labels on job boards that name no job: their posts get none, whatever the title says.
NOT_A_JOB = ("핑크빈", "예티", "팁/정보")
FREE_CATEGORIES = ("수다", "인방")  # of the free board, as far as anybody wrote them down
OTHER = "기타"  # of a job board: any job of the group, or none

_BOARD = {entry.id: entry for entry in BOARDS}
_JOB = {entry.name: entry for entry in JOBS}
_BY_CATEGORY = {
    (entry.id, label): job
    for entry in BOARDS
    for job in JOBS
    if entry.group in job.groups
    for label in (*job.categories, job.name)
}


def board(board_id: int) -> Board:
    """The board with this id. Raises KeyError, naming the ids there are."""
    try:
        return _BOARD[board_id]
    except KeyError:
        raise KeyError(f"no board {board_id}: the boards are {', '.join(map(str, _BOARD))}") from None


def job(name: str) -> Job:
    """The job with this official name. Raises KeyError."""
    return _JOB[name]


def jobs_of_group(group: str) -> tuple[Job, ...]:
    """The jobs of a group's board, in the table's order."""
    return tuple(entry for entry in JOBS if entry.group == group)


def job_of_category(board_id: int, category: str | None) -> Job | None:
    """The job that a board's category names, compared exactly; None for a category that names none."""
    if category is None:
        return None
    return _BY_CATEGORY.get((board_id, unicodedata.normalize("NFC", category).strip()))


def is_known(board_id: int, category: str | None) -> bool:
    """Whether a category is one that this table knows on that board; so is none at all."""
    if category is None or job_of_category(board_id, category) is not None:
        return True
    return category in ((*NOT_A_JOB, OTHER) if board_id != FREE_BOARD else (*FREE_CATEGORIES, OTHER))


def group_of(board_id: int, named: Job | None = None) -> str | None:
    """The group of a post: its board's, or on the free board that of the job it names."""
    home = _BOARD.get(board_id)
    if home is not None and home.group is not None:
        return home.group
    return named.group if named is not None else None


# Endings that follow a name without a space. Not among them: 서, 고, 나, 라, which make other words of names.
_PARTICLES = (
    r"(?:들|님|분들|유저)?"
    r"(?:이|가|은|는|을|를|의|도|만|에|에게|에겐|에서|한테|한테는|한텐|께|로|으로|로는|으로는|로만|으로만|와|과|랑|이랑|하고"
    r"|보다|보단|보다는|보다도|처럼|같이|만큼|만큼은|부터|까지|까지도|마다|조차|마저|밖에|이나|이라도|라도|이든|든"
    r"|만의|만은|만이|에도|에만|로도|으로도|이란|란|이면|면|인데|인데요|인가|인가요|인지|임|이다|입니다|이고|이네|이네요|이요|이에요|예요|이야|야|인)?"
)
# Phrases in which a name is another word: "because of me", "without a break", a film, another game, a drink.
_OTHER_WORDS = re.compile(
    r"(?<![가-힣])(?:나로(?:서|써|\s*(?:인해|인하|하여금|말미암|말할))|새도\s*없|팔라(?:는|면|도|란)(?![가-힣])"
    r"|로스트\s*아크|아크\s+메이지(?!\s*\()|제로\s*(?:콜라|칼로리|슈가|음료|사이다|펩시)|라라\s*랜드|캡틴\s*(?:아메리카|마블))"
)


def _spaced(name: str) -> str:
    """A pattern of the name in which spaces are free."""
    return r"\s*".join(re.escape(part) for part in re.findall(r"[가-힣]+|[(),]", name))


_NAMES = {
    re.sub(r"\s", "", alias): entry for entry in JOBS for alias in (entry.name, *entry.categories, *entry.aliases)
}
# Longest first, so that 아크(썬콜) is not read as 아크. A token is a whole run of Hangul: "275렌" and
# "썬콜ㅋㅋ" name a job, "렌트" and "메르스" do not.
_NAMED = re.compile(
    r"(?<![가-힣])("
    + "|".join(
        _spaced(alias)
        for alias in sorted(
            {alias for entry in JOBS for alias in (entry.name, *entry.categories, *entry.aliases)},
            key=len,
            reverse=True,
        )
    )
    + r")"
    + _PARTICLES
    + r"(?![가-힣])"
)


def jobs_named(text: str) -> list[tuple[int, int, Job]]:
    """Every name of a job in an NFC text, as `job_of_title` finds it: where it begins and ends, and the job."""
    masked = _OTHER_WORDS.sub(lambda match: " " * len(match[0]), text)
    return [(m.start(1), m.end(1), _NAMES[re.sub(r"\s", "", m[1])]) for m in _NAMED.finditer(masked)]


def job_of_title(title: str) -> Job | None:
    """The one job that a title names, by official name, label or nickname; None if it names none or several.

    Names count as whole words only, with or without a particle.
    """
    text = _OTHER_WORDS.sub(" ", unicodedata.normalize("NFC", title))
    found = {_NAMES[re.sub(r"\s", "", match[1])].name for match in _NAMED.finditer(text)}
    return _JOB[found.pop()] if len(found) == 1 else None


def job_of_post(board_id: int, category: str | None, title: str) -> Job | None:
    """The job a post is about: its category's, else the one its title names if the category leaves it open.

    Open are the free board, and on a job board 기타 or no category; there only a job of its group counts.
    """
    named = job_of_category(board_id, category)
    if named is not None:
        return named
    home = _BOARD.get(board_id)
    if home is None:
        return None
    if home.group is None:
        return job_of_title(title)
    if category is not None and category != OTHER:
        return None
    named = job_of_title(title)
    return named if named is not None and home.group in named.groups else None
