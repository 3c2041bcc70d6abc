"""A raw chunk becomes a labelled chunk: with the real LLM, and when labels are missing."""

import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import errors
from pipeline.files import DataFileError, read_csv, write_csv
from pipeline.label.__main__ import main
from pipeline.label.chunk import COLUMNS, label_chunk
from pipeline.label.estimate import Estimate, Eta, duration
from pipeline.label.quality import read_canaries
from pipeline.label.records import CoverageError, LabelServerError, Progress
from pipeline.label.relabel import chosen_chunks
from pipeline.labels import SENTIMENTS
from pipeline.layout import CHUNK_COLUMNS as RAW_COLUMNS
from pipeline.layout import labeled_path, raw_path
from pipeline.live.store import Store
from tests.pipeline.label import labelling
from tests.pipeline.label.labelling import PROBES, settings_for
from tests.support.llm_server import llm_url  # noqa: F401
from tests.support.llm_stand_in import MODEL, Reply, StandIn, asked_post, by_keyword, completion, tokens

PARAMS = {**labelling.PARAMS, "concurrency": 0, "timeout_s": 60, "max_attempts": 2}

CANARIES = 2 * len(read_canaries())  # each with and without its attempt

# Clear cases: what is tested is that posts go through, not how clever 270 million parameters are.
POSTS = [
    ("카링 솔플 성공!!", "3주 걸렸는데 드디어 잡았습니다 너무 기쁘다 ㅠㅠ", 2),
    ("이번 개편 진짜 최고", "스킬 이펙트 예쁘고 사냥도 시원해요. 행복합니다", 2),
    ("오늘 접습니다", "밸런스도 엉망이고 운영도 최악이라 더는 못 하겠네요", 0),
    ("버그 좀 고쳐라", "튕겨서 보스 세 판 날렸다. 짜증나서 못 해먹겠네", 0),
    ("노블레스 마감 시간 질문", "일요일 몇 시까지 하면 되나요?", 1),
    ("파티원 구합니다", "하드 루시드 목요일 저녁 9시, 두 자리 남았습니다", 1),
    ('쉼표, "따옴표"\n와 줄', '쉼표, "따옴표"\n둘째 줄 =1+1', 1),
]


def write_raw(root: Path, posts: list[tuple[str, str, int]], number: str = "0007") -> Path:
    rows = [
        dict.fromkeys(RAW_COLUMNS, "")
        | {"board_id": 2294, "post_id": 1000 + index, "job": "히어로", "title": title, "body": body, "views": 3}
        for index, (title, body, _) in enumerate(posts)
    ]
    write_csv(raw_path(number, root), rows, RAW_COLUMNS)
    return raw_path(number, root)


def test_a_chunk_is_labelled_by_the_real_llm(llm_url: str, store: Store, tmp_path: Path) -> None:  # noqa: F811
    source = write_raw(tmp_path, POSTS)
    seen: list[Progress] = []

    def label_it(**more: Any) -> Any:
        return label_chunk("0007", settings=settings_for(llm_url), store=store, params=PARAMS, root=tmp_path, **more)

    report = label_it(on_progress=seen.append)
    assert (report.posts, report.labelled, report.coverage, report.mode) == (7, 7, 1.0, "logprobs")
    assert report.asked == 7 + 36 + CANARIES
    assert seen[-1].done == 7 + CANARIES

    target = labeled_path("0007", tmp_path)
    rows = read_csv(target, COLUMNS)
    assert list(rows[0]) == list(COLUMNS)
    raw = read_csv(source, RAW_COLUMNS)
    assert [{name: row[name] for name in RAW_COLUMNS} for row in rows] == raw
    assert all(row["sentiment"] == SENTIMENTS[int(row["label"])] for row in rows)
    assert all(len(row["confidence"]) == 6 and 1 / 3 <= float(row["confidence"]) <= 1 for row in rows)
    assert {(row["labeler"], row["prompt"], row["note"]) for row in rows} == {(report.labeler, "mood-1", "")}
    right = sum(int(row["label"]) == mood for row, (_, _, mood) in zip(rows, POSTS, strict=True))
    assert right >= 4, [row["sentiment"] for row in rows]

    provenance = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))
    assert provenance["raw_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert provenance["labeled_sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()
    assert sum(provenance["counts"].values()) == 7
    calibration = provenance["calibration"]
    assert (calibration["texts"], calibration["gold"], calibration["bias"][2]) == (36, 0, 0.0)
    assert calibration["scale"] > 1, "it ranks posts better than its probabilities say"
    assert provenance["labeler"] == report.labeler

    before = target.read_bytes(), target.with_suffix(".json").read_bytes()
    assert label_it().asked == 0
    assert (target.read_bytes(), target.with_suffix(".json").read_bytes()) == before


def nonsense_about(word: str) -> StandIn:
    def answer(request: dict[str, Any], count: int) -> Reply:
        if word in asked_post(request):
            return completion("글쎄", logprobs=tokens(글쎄=-0.01))
        return by_keyword(request)

    return StandIn(answer)


def test_too_few_labels_write_nothing_and_say_why(store: Store, tmp_path: Path) -> None:
    write_raw(tmp_path, [("글", f"{number}번 {'이상한' if number < 2 else '최고의'} 글", 2) for number in range(20)])
    with nonsense_about("이상한") as server:
        with pytest.raises(CoverageError, match=r"2 of 20 posts got no label.*2 × .*글쎄"):
            label_chunk(7, settings=settings_for(server.url), store=store, params=PARAMS, root=tmp_path)
        assert not labeled_path("0007", tmp_path).parent.exists()
        enough = {**PARAMS, "min_coverage": 0.9}
        report = label_chunk(7, settings=settings_for(server.url), store=store, params=enough, root=tmp_path)
    assert (report.labelled, report.counts) == (18, {"부정": 0, "중립": 0, "긍정": 18})
    rows = read_csv(labeled_path("0007", tmp_path), COLUMNS)
    assert [(row["label"], row["sentiment"], row["confidence"]) for row in rows[:2]] == [("", "", "")] * 2
    assert "글쎄" in rows[0]["note"]
    assert report.labeler.startswith(f"{MODEL}:")


def test_equal_posts_are_asked_once_and_all_labelled(store: Store, tmp_path: Path) -> None:
    write_raw(tmp_path, [("최고", "최고", 2)] * 5)
    with StandIn() as server:
        report = label_chunk(7, settings=settings_for(server.url), store=store, params=PARAMS, root=tmp_path)
    assert (report.labelled, report.asked) == (5, 1 + 36 + CANARIES)


def test_a_missing_chunk_and_a_missing_server(store: Store, tmp_path: Path) -> None:
    with StandIn() as gone:
        url = gone.url
    with pytest.raises(DataFileError, match=r"raw_data_0007\.csv is missing"):
        label_chunk(7, settings=settings_for(url), store=store, params=PARAMS, root=tmp_path)
    write_raw(tmp_path, POSTS)
    with pytest.raises(LabelServerError, match="no connection"):
        label_chunk(7, settings=settings_for(url), store=store, params=PARAMS, root=tmp_path)
    assert not labeled_path("0007", tmp_path).exists()


# --- the command line ---------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A project directory with one raw chunk, gold texts and a stand-in LLM; the working directory."""
    monkeypatch.chdir(tmp_path)
    write_raw(Path(), [("오늘 최고", "", 2), ("완전 망했", "", 0), ("질문", "", 1)])
    Path("params.yaml").write_text(json.dumps({"label": PARAMS}), encoding="utf-8")
    gold = [
        {"title": "보스 최고", "body": "정말", "label": 2},
        {"title": "패치 망했", "body": "", "label": 0},
        {"title": "질문", "body": "있어요", "label": 1},
        {"title": "와 최고네", "body": "비꼼", "label": 0},
    ]
    write_csv(Path("data/gold/hand.csv"), gold, ("title", "body", "label"))
    monkeypatch.setenv("DATABASE_URL", "sqlite:///live.db")
    with StandIn() as server:
        monkeypatch.setenv("LLM_ENDPOINTS", server.url)
        monkeypatch.delenv("LLM_MODEL", raising=False)
        yield server


def status_of(arguments: list[str]) -> int:
    """The exit status of the command; what it prints on its way out is there for `capsys`."""
    try:
        errors.run(lambda: main(arguments))
    except SystemExit as ended:
        print(ended.code, file=sys.stderr)
        return 1
    return 0


def test_labelling_by_hand(project: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["0007"]) == 0
    assert "3 of 3 labelled" in capsys.readouterr().out
    rows = read_csv(labeled_path("0007"), COLUMNS)
    assert [row["sentiment"] for row in rows] == ["긍정", "부정", "중립"]


def test_the_check_against_the_gold(project: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["--check"]) == 0
    printed = capsys.readouterr().out
    assert "4 of 4 gold texts labelled" in printed
    assert "calibrated  agreement 0.750  kappa 0.636  macro-F1 0.778" in printed
    assert [line.split()[1:] for line in printed.splitlines()[-3:]] == [
        ["1", "0", "1"],
        ["0", "1", "0"],
        ["0", "0", "1"],
    ]


def test_the_command_line_says_what_is_wrong(
    project: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status_of(["0008"]) == 1
    assert "raw_data_0008.csv is missing" in capsys.readouterr().err
    monkeypatch.setenv("LLM_ENDPOINTS", "http://127.0.0.1:9/v1")
    assert status_of(["0007"]) == 1
    assert "http://127.0.0.1:9/v1 can't label: no connection" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([])


def test_relabelling_is_asked_for_and_says_what_to_commit(
    project: StandIn, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number in ("0008", "0009"):
        write_raw(Path(), [("오늘 최고", "", 2), (f"{number}번 망했", "", 0)], number)
    assert status_of(["0007", "0008", "0009"]) == 0
    before = {number: labeled_path(number).read_bytes() for number in ("0007", "0008", "0009")}
    asked = len(project.asked)
    assert status_of(["--relabel", "chunk-0008.."]) == 0
    assert len(project.asked) == asked + 2 * PROBES, "the same labeler has nothing to ask"
    assert {number: labeled_path(number).read_bytes() for number in before} == before

    project.answer = lambda request, count: by_keyword(request, model="better-model")
    capsys.readouterr()
    assert status_of(["--relabel", "chunk-0008.."]) == 0
    printed = capsys.readouterr().out
    assert "dvc commit --force label@0008 label@0009" in printed
    assert 'git commit -m "Relabel chunk 0008..0009 with better-model' in printed
    assert labeled_path("0007").read_bytes() == before["0007"], "not asked for"
    assert {row["labeler"].split(":")[0] for row in read_csv(labeled_path("0008"), COLUMNS)} == {"better-model"}
    assert status_of(["--relabel", "0011.."]) == 1
    assert "no raw chunk of 0011.." in capsys.readouterr().err
    assert status_of(["--relabel", "everything"]) == 1
    assert "names no chunks" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("0007", ["0007"]),
        ("chunk-0007", ["0007"]),
        ("chunk-0008..", ["0008", "0012"]),
        ("0007..chunk-0008", ["0007", "0008"]),
    ],
)
def test_which_chunks_are_meant(tmp_path: Path, asked: str, found: list[str]) -> None:
    for number in ("0007", "0008", "0012"):
        write_raw(tmp_path, POSTS, number)
    assert chosen_chunks(asked, tmp_path) == found


def test_a_big_job_is_estimated_before_it_begins(store: Store, tmp_path: Path) -> None:
    def counting(request: dict[str, Any], count: int) -> Reply:
        reply = by_keyword(request)
        reply.body["usage"] = {"prompt_tokens": 900, "prompt_tokens_details": {"cached_tokens": 850}}
        return reply

    write_raw(tmp_path, [("글", f"{number}번 최고", 2) for number in range(80)])
    told: list[Estimate] = []
    with StandIn(counting) as server:

        def label_it() -> None:
            label_chunk(
                7, settings=settings_for(server.url), store=store, params=PARAMS, root=tmp_path, on_estimate=told.append
            )

        label_it()
        label_it()
    first, second = told
    assert (first.known, first.to_ask) == (0, 80 + CANARIES)
    assert first.tokens is not None
    assert 0.8 < first.tokens / (900 * first.to_ask) < 1.2
    assert first.seconds is not None
    assert first.seconds[0] < first.seconds[1]
    assert "96 texts to ask, 0 in the cache, about " in str(first)
    assert str(second) == "96 texts, all in the cache: nothing to ask"


def test_progress_tells_how_long_still() -> None:
    eta = Eta()
    time.sleep(0.01)
    assert eta.line(Progress(total=100, done=20, cached=20, failed=0)) == (
        "20/100 (20 known, 0 without a label, 0.0 a second)"
    )
    time.sleep(0.01)
    assert re.search(r"60/100 .* a second, \d+ s left", eta.line(Progress(total=100, done=60, cached=20, failed=1)))
    assert [duration(seconds) for seconds in (0.2, 89, 600, 9000)] == ["1 s", "89 s", "10 min", "2.5 h"]
