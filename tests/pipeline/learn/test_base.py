"""Base: the user's own file is kept and checked; the hand-written one stands in."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from pipeline.files import DataFileError
from pipeline.layout import BASE_FILE
from pipeline.learn import base
from pipeline.learn.base import BUILT_IN, read_base
from tests.support import ROOT


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the hand-written rows in it, to stand in."""
    (tmp_path / BUILT_IN).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / BUILT_IN, tmp_path / BUILT_IN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_hand_written_file_is_made_where_there_is_none(project: Path) -> None:
    base.main()
    first = BASE_FILE.read_bytes()
    rows = read_base()
    assert len(rows) == len((ROOT / BUILT_IN).read_text(encoding="utf-8").splitlines())
    assert min(Counter(label for _, label in rows).values()) >= 80  # every mood
    assert ("멀미 심하시면 옵션에서 시야각 90 이상으로, 모션블러 끄고 해보세요", 1) in rows
    BASE_FILE.unlink()
    base.main()
    assert BASE_FILE.read_bytes() == first


def test_a_users_own_file_is_kept(project: Path) -> None:
    BASE_FILE.parent.mkdir(parents=True, exist_ok=True)
    own = "text,label,from\n우리 글,긍정,me\n다른 글,0,me\n".encode()
    BASE_FILE.write_bytes(own)
    os.utime(BASE_FILE, (1, 1))
    base.main()
    assert BASE_FILE.read_bytes() == own
    assert BASE_FILE.stat().st_mtime == 1
    assert read_base() == [("우리 글", 2), ("다른 글", 0)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("좋아요,4", r"row 2: '4' is not a label: use 0 부정, 1 중립, 2 긍정"),
        ("좋아요,", r"row 2: '' is not a label"),
        ('" \n",1', "row 2: the text is empty"),
        ("\u200b\0,1", "row 2: the text is empty"),
        ("좋아요", "line 3: the number of fields differs"),
    ],
)
def test_a_bad_row_is_named(project: Path, row: str, message: str) -> None:
    BASE_FILE.parent.mkdir(parents=True, exist_ok=True)
    BASE_FILE.write_text(f"text,label\n첫 글,1\n{row}\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=rf"merged_label_final\.csv, {message}"):
        base.main()


def test_a_file_without_rows_or_without_the_column(project: Path) -> None:
    with pytest.raises(DataFileError, match=r"merged_label_final\.csv is missing.*dvc repro base"):
        read_base()
    BASE_FILE.parent.mkdir(parents=True, exist_ok=True)
    BASE_FILE.write_text("text,label\n", encoding="utf-8")
    with pytest.raises(DataFileError, match="has no rows"):
        read_base()
    BASE_FILE.write_text("본문,label\n글,1\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=r"merged_label_final\.csv lacks the column\(s\) text"):
        read_base()


def test_texts_are_normalised(project: Path) -> None:
    BASE_FILE.parent.mkdir(parents=True, exist_ok=True)
    BASE_FILE.write_text("text,label\n\u1106\u1166\u110b\u1175\u1111\u1173\u11af  ㅋㅋ,1\n", encoding="utf-8")
    assert read_base() == [("메이플 ㅋㅋ", 1)]
