"""Base: the user's own file is kept and checked; the hand-written one stands in."""

import hashlib
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
    base.main([])
    first = BASE_FILE.read_bytes()
    rows = read_base()
    assert len(rows) == len((ROOT / BUILT_IN).read_text(encoding="utf-8").splitlines())
    assert min(Counter(label for _, label in rows).values()) >= 80  # every mood
    assert ("멀미 심하시면 옵션에서 시야각 90 이상으로, 모션블러 끄고 해보세요", 1) in rows
    BASE_FILE.unlink()
    base.main([])
    assert BASE_FILE.read_bytes() == first


def test_an_own_file_that_is_missing_is_not_replaced_by_the_hand_written_one(project: Path) -> None:
    """A fresh clone, before `dvc pull`: models of another base file would be trained in silence."""
    base.main([])
    made = hashlib.md5(BASE_FILE.read_bytes(), usedforsecurity=False).hexdigest()
    BASE_FILE.unlink()
    lock = "stages:\n  base:\n    outs:\n    - {path: data/base/merged_label_final.csv, md5: %s}\n"
    Path("dvc.lock").write_text(lock % ("0" * 32))
    with pytest.raises(DataFileError, match=r"`dvc pull data/base/merged_label_final\.csv`"):
        base.main([])
    assert not BASE_FILE.exists()
    Path("dvc.lock").write_text(lock % made)
    base.main([])
    assert BASE_FILE.exists()


def test_a_users_own_file_is_kept(project: Path) -> None:
    BASE_FILE.parent.mkdir(parents=True, exist_ok=True)
    own = "text,label,from\n우리 글,긍정,me\n다른 글,0,me\n".encode()  # with a column that nobody asked for
    BASE_FILE.write_bytes(own)
    os.utime(BASE_FILE, (1, 1))
    base.main([])
    assert BASE_FILE.read_bytes() == own
    assert BASE_FILE.stat().st_mtime == 1
    assert read_base() == [("우리 글", 2), ("다른 글", 0)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("좋아요", r"line 3: 1 field\(s\), but the header has 2"),
        ("좋아요,1,", r"line 3: 3 field\(s\), but the header has 2"),
        ('"좋아요,1\n둘째,1\n', "line 3: a quote opens here and is never closed"),
        ('"좋아"요,1', "line 3: quotes do not match"),
    ],
)
def test_a_bad_row_is_named(project: Path, row: str, message: str) -> None:
    BASE_FILE.parent.mkdir(parents=True, exist_ok=True)
    BASE_FILE.write_text(f"text,label\n첫 글,1\n{row}\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=rf"merged_label_final\.csv, {message}"):
        base.main([])


def test_a_file_without_rows_or_without_the_column(project: Path) -> None:
    with pytest.raises(DataFileError, match=r"merged_label_final\.csv is missing.*dvc repro base"):
        read_base()
    BASE_FILE.parent.mkdir(parents=True, exist_ok=True)
    BASE_FILE.write_text("text,label\n", encoding="utf-8")
    with pytest.raises(DataFileError, match="has no rows"):
        read_base()
    BASE_FILE.write_text("text,label\n글,\n", encoding="utf-8")
    with pytest.raises(DataFileError, match="has no rows"):
        read_base()
    BASE_FILE.write_text("본문,label\n글,1\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=r"merged_label_final\.csv lacks the column\(s\) text"):
        read_base()


def test_texts_are_normalised(project: Path) -> None:
    BASE_FILE.parent.mkdir(parents=True, exist_ok=True)
    BASE_FILE.write_text("text,label\n\u1106\u1166\u110b\u1175\u1111\u1173\u11af  ㅋㅋ,1\n", encoding="utf-8")
    assert read_base() == [("메이플 ㅋㅋ", 1)]


def test_the_replaced_systems_file_is_read_as_it_is(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its column is called content, pandas wrote its labels, and its training dropped rows without a label of ours."""
    BASE_FILE.write_text(
        "content,label\n좋아요,2.0\n그냥 그래요,1.0\n"
        '"렉이 심하고, 환불도 안 됨",0.0\n라벨이 없는 줄,\n다른 라벨,3.0\n" \u200b",1.0\n',
        encoding="utf-8",
    )
    assert read_base() == [("좋아요", 2), ("그냥 그래요", 1), ("렉이 심하고, 환불도 안 됨", 0)]
    base.main([])
    said = capsys.readouterr().out
    assert "merged_label_final.csv: 3 rows; 3 left out" in said
    assert "line 5: no label" in said
    assert "line 6: '3.0' is not a label" in said
    assert "line 7: no text" in said


def test_a_file_with_both_names_of_the_text_means_text(project: Path) -> None:
    BASE_FILE.write_text("content,text,label\n남의 것,글,1\n", encoding="utf-8")
    assert read_base() == [("글", 1)]


@pytest.mark.parametrize(("stars", "rows"), [([1, 2, 3, 4, 5], 5), ([0, 1, 2, 3], 400)])
def test_a_file_of_another_scale_is_refused(project: Path, stars: list[int], rows: int) -> None:
    lines = [f"글 {n},{stars[n % len(stars)]}" for n in range(rows)]
    BASE_FILE.write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    with pytest.raises(DataFileError, match=r"rows have another label, first line \d: '3' is not a label: use 0 부정"):
        read_base()
