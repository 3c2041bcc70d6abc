"""Every file of a person's goes through one guarded reader: what editors do to a file is borne, or named."""

import gzip
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.replay_posts import read_posts
from pipeline import settings
from pipeline.errors import UserError
from pipeline.evaluate.on_file import read_labelled
from pipeline.files import DataFileError, read_rows, read_table, read_text
from pipeline.freeze.catalog import read_catalog
from pipeline.gold import read_gold
from pipeline.label.prompt import load_prompt
from pipeline.label.quality import CANARIES, read_canaries
from pipeline.layout import BASE_FILE, GOLD
from pipeline.learn.base import read_base
from pipeline.live.all_posts import import_posts
from pipeline.live.store import Store
from pipeline.params import CutParams, read_params
from pipeline.serve.keywords import load_stopwords
from pipeline.text import slang
from tests.support import ROOT


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name, a text, what reads it; whether it is a table; whether only we read it."""

    name: str
    text: str
    read: Callable[[Path], Any]
    table: bool = False
    ours_alone: bool = True


def gold(path: Path) -> Any:
    return read_gold(path.parents[len(GOLD.parts)])


def labelled(path: Path) -> Any:
    texts, labels = read_labelled(path)
    return texts, labels.tolist()


def all_posts(path: Path) -> Any:
    with Store("sqlite://") as store:
        return import_posts(store, path)


def prompt(path: Path) -> Any:
    return load_prompt("mood-1", path.parent)


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


TABLE = "text,label\n좋아요,긍정\n나빠요,0.0\n그냥,1\n"
CATALOG = '# 목록\nversion: "20261122T154500"\nchampion: "none"\nchunks:\n- "0001"\narchives: []\n'
KINDS = {
    "base": Kind(str(BASE_FILE), TABLE, read_base, table=True),
    "gold": Kind(f"{GOLD}/mine.csv", "title,body,label\n제목,본문,2.0\n제목,,중립\n", gold, table=True),
    "on": Kind("mine.tsv", TABLE, labelled, table=True),
    "all_posts": Kind("all_posts.csv", "게시판,번호,제목,본문,링크\n전사,1,제목,본문,\n", all_posts, table=True),
    "dictionary": Kind("slang.tsv", "word,tag,canonical,group\n썬콜,NNP,썬콜,job\n", slang, table=True),
    "stopwords": Kind("stopwords.txt", "그냥\n진짜\n", load_stopwords),
    "params": Kind(
        "p.yaml", "# 크기\ncut:\n  size: 5\n", lambda path: read_params("cut", CutParams, path), ours_alone=False
    ),
    "catalog": Kind("catalog.yaml", CATALOG, read_catalog, ours_alone=False),
    "env": Kind(".env", "# 내 서버\nLLM_MODEL=gemma\n", settings.read_env, ours_alone=False),
    "prompt": Kind("mood-1.toml", text_of("pipeline/prompts/mood-1.toml"), prompt),
    "canaries": Kind("canaries.toml", CANARIES.read_text(encoding="utf-8"), read_canaries),
    "posts": Kind("posts.jsonl", '{"board_id": 2294, "title": "제목", "body": "본문"}\n', lambda p: read_posts([p])),
}
EVERY = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
TABLES = pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.table])


def written(folder: Path, kind: Kind, data: bytes) -> Path:
    path = folder / kind.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def said(kind: Kind, path: Path) -> str:
    """The one line in which a file is refused."""
    with pytest.raises(UserError) as caught:
        kind.read(path)
    text = str(caught.value)
    assert path.name in text
    assert "\n" not in text
    return text


@EVERY
def test_marks_and_line_ends_of_any_editor(tmp_path: Path, kind: Kind) -> None:
    expected = kind.read(written(tmp_path, kind, kind.text.encode()))
    assert expected
    windows = kind.text.replace("\n", "\r\n")
    for data in (kind.text.encode("utf-8-sig"), windows.encode(), windows.encode("utf-8-sig")):
        assert kind.read(written(tmp_path, kind, data)) == expected


@EVERY
def test_utf_16_with_a_mark_is_read_where_no_other_program_has_to(tmp_path: Path, kind: Kind) -> None:
    expected = kind.read(written(tmp_path, kind, kind.text.encode()))
    for encoding, mark in (("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
        path = written(tmp_path, kind, mark + kind.text.replace("\n", "\r\n").encode(encoding))
        if kind.ours_alone:
            assert kind.read(path) == expected
        else:
            assert "is not UTF-8 but UTF-16, which others that read this file can't. Save it as" in said(kind, path)


@EVERY
def test_another_encoding_is_named_with_the_way_out(tmp_path: Path, kind: Kind) -> None:
    korean = kind.text.replace("\u2028", "").encode("cp949", "replace")
    found = said(kind, written(tmp_path, kind, korean))
    assert "is not UTF-8 but cp949, the old Korean encoding of Windows. Save it as UTF-8 (Excel" in found
    found = said(kind, written(tmp_path, kind, b"\xff\xfe" + kind.text.encode("utf-16-le")[:-1]))
    assert "UTF-16" in found
    found = said(kind, written(tmp_path, kind, kind.text.encode("utf-16-le")))
    assert "UTF-16 without a mark" in found or "not UTF-8" in found
    lines = kind.text.encode().split(b"\n")
    lines[1] = b"\xed\xa0\x80" + lines[1]
    assert "line 2: not UTF-8" in said(kind, written(tmp_path, kind, b"\n".join(lines)))
    assert "is a workbook" in said(kind, written(tmp_path, kind, b"PK\x03\x04" + bytes(200)))


@EVERY
def test_a_folder_in_the_files_place(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / kind.name).mkdir(parents=True)
    if kind.name != "posts.jsonl":  # there a folder stands for the files in it
        assert "can't be read" in said(kind, tmp_path / kind.name)


@TABLES
def test_tables_of_any_separator_and_packed(tmp_path: Path, kind: Kind) -> None:
    expected = kind.read(written(tmp_path, kind, kind.text.encode()))
    for separator in "\t;":
        other = kind.text.replace(",", separator)
        assert kind.read(written(tmp_path, kind, other.encode("utf-8-sig"))) == expected
        assert kind.read(written(tmp_path, kind, other.encode("utf-16"))) == expected
    assert kind.read(written(tmp_path, kind, gzip.compress(kind.text.encode()))) == expected
    assert "no whole gzip" in said(kind, written(tmp_path, kind, gzip.compress(kind.text.encode())[:-9]))


def test_nothing_else_reads_tables_or_packed_files() -> None:
    """A second reader would have a second rule."""
    found = {
        str(path.relative_to(ROOT))
        for package in ("pipeline", "app", "flows", "demo")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"^\s*(import|from) (csv|gzip)\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found == {"pipeline/files.py"}


def rows(path: Path, *columns: str, **options: Any) -> list[dict[str, str]]:
    return [row for _, row in read_rows(path, columns or ("text", "label"), **options)]


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'text,label\r\n"a\r\nb",1\r\n\r\n  \r\nc,2\r\nd\r\ne,0\r\n')
    found = list(read_table(path, ["text", "label"]))
    assert [(record.line, record.problem) for record in found] == [
        (2, ""),
        (6, ""),
        (7, "1 field(s), but the header has 2"),
        (8, ""),
    ]
    assert found[0].fields == {"text": "a\r\nb", "label": "1"}


def test_quotes_between_tabs_are_text_unless_the_file_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes('text\tlabel\n"좋다" 그는\t1\n그는 "좋다\t2\n'.encode())
    assert [row["text"] for row in rows(path)] == ['"좋다" 그는', '그는 "좋다']
    quoted = '"text"\t"label"\n"탭\t과 ""줄\n바꿈"""\t"1"\n'
    path.write_bytes(quoted.encode())
    assert rows(path) == [{"text": '탭\t과 "줄\n바꿈"', "label": "1"}]
    path.write_bytes(quoted.replace('"text"\t"label"', "text\tlabel").encode("utf-16"))  # as Excel saves Unicode text
    assert rows(path) == [{"text": '탭\t과 "줄\n바꿈"', "label": "1"}]


def test_a_quote_that_is_not_closed_swallows_nothing_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\n가,0\n"나,1\n다,2\n', encoding="utf-8")
    with pytest.raises(DataFileError, match=r"a\.csv, line 3: a quote opens here and is never closed"):
        rows(path)
    path.write_text('text,label\n"가,0\n나,1\n"다,2\n', encoding="utf-8")
    with pytest.raises(DataFileError, match=r"a\.csv, line 2: quotes do not match"):
        rows(path)
    path.write_text('"text,label\n가,0\n', encoding="utf-8")
    with pytest.raises(DataFileError, match=r"a\.csv, line 1: a quote opens here"):
        rows(path)


def test_long_lines_nul_bytes_and_separators_inside_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    long = "가나" * 500_000
    path.write_text(f'text,label\n{long},1\n"가\t나;다\u2028라",0\n가\0나,2\n', encoding="utf-8")
    assert [row["text"] for row in rows(path)] == [long, "가\t나;다\u2028라", "가\0나"]


def test_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("label, text ,\n1,가,\n", encoding="utf-8")
    assert rows(path) == [{"label": "1", "text": "가", "": ""}]
    path.write_text("content,label\n가,1\n", encoding="utf-8")
    assert rows(path, also={"content": "text"}) == [{"text": "가", "label": "1"}]
    with pytest.raises(DataFileError, match=r"lacks the column\(s\) text; it has content, label\."):
        rows(path)
    path.write_text("text;label;text\n가;1;나\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=r"a\.csv, line 1: the column text is there more than once"):
        rows(path)
    path.write_text("제목\n가\n".encode().decode(), encoding="utf-8")
    assert rows(path, "제목") == [{"제목": "가"}]
    path.write_text("\u110c\u1166\u1106\u1169\u11a8,x\n가,1\n", encoding="utf-8")  # 제목 as macOS writes it
    assert rows(path, "제목") == [{"제목": "가", "x": "1"}]
    path.write_text("x" * 1_000_000, encoding="utf-8")
    with pytest.raises(DataFileError) as caught:
        rows(path)
    assert len(str(caught.value)) < 300


def test_a_nul_byte_in_a_settings_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"cut:\n  size: 5\n# a lot of text around it\n# \0\n")
    with pytest.raises(DataFileError, match=r"p\.yaml, line 4: a NUL byte"):
        read_text(path)


def test_a_packed_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as packed:
        packed.write("text,label\n가,1\n".encode("utf-16"))
    for name in ("a.csv", "a.csv.gz"):
        (tmp_path / name).write_bytes(buffer.getvalue())
        assert rows(tmp_path / name) == [{"text": "가", "label": "1"}]
    (tmp_path / "b.csv.gz").write_bytes(b"text,label\n")
    with pytest.raises(DataFileError, match=r"b\.csv\.gz is no whole gzip file"):
        rows(tmp_path / "b.csv.gz")
