"""`data/catalog.yaml`: round trip, window, compaction, and what it says when it is malformed."""

import re
from pathlib import Path

import pytest
import yaml

from pipeline.files import DataFileError
from pipeline.freeze.catalog import Catalog, read_catalog, write_catalog
from pipeline.layout import NO_CHAMPION
from tests.support import ROOT

EMPTY = Catalog("20261122T154500", NO_CHAMPION, (), ())
FULL = Catalog("20261122T154500", "20261121T000000", ("0007", "0008", "10000"), ("0001-0005", "0006"))


@pytest.mark.parametrize("catalog", [EMPTY, FULL], ids=["empty", "full"])
def test_round_trip(tmp_path: Path, catalog: Catalog) -> None:
    path = tmp_path / "catalog.yaml"
    write_catalog(catalog, path)
    first = path.read_bytes()
    assert read_catalog(path) == catalog
    write_catalog(read_catalog(path), path)
    assert path.read_bytes() == first


def test_dvc_reads_strings_and_lists(tmp_path: Path) -> None:
    write_catalog(FULL, tmp_path / "catalog.yaml")
    assert yaml.safe_load((tmp_path / "catalog.yaml").read_text(encoding="utf-8")) == {
        "version": "20261122T154500",
        "champion": "20261121T000000",
        "chunks": ["0007", "0008", "10000"],
        "archives": ["0001-0005", "0006"],
    }
    write_catalog(EMPTY, tmp_path / "catalog.yaml")
    assert yaml.safe_load((tmp_path / "catalog.yaml").read_text(encoding="utf-8"))["chunks"] == []


def test_the_projects_own_catalog_is_valid() -> None:
    read_catalog(ROOT / "data" / "catalog.yaml")


def test_window_keeps_the_newest_chunks_in_number_order() -> None:
    catalog = EMPTY
    for number in ("0001", "0003", "0002", "0003"):
        catalog = catalog.with_chunk(number, window=3)
    assert catalog.chunks == ("0001", "0002", "0003")
    assert catalog.with_chunk("0004", window=3).chunks == ("0002", "0003", "0004")
    late = Catalog("20261122T154500", NO_CHAMPION, ("9998", "9999"), ())
    assert late.with_chunk("10000", window=2).chunks == ("9999", "10000")  # by number, not by alphabet
    assert catalog.chunks == ("0001", "0002", "0003")  # a catalog is a value


def test_archives_beyond_the_window_become_one_and_none_leaves() -> None:
    catalog = EMPTY
    for number in range(1, 9):
        catalog = catalog.with_archive(f"{number:04d}", window=3)
        assert len(catalog.archives) <= 3
        covered: list[int] = []
        for name in catalog.archives:
            first, last = name.split("-")[0], name.split("-")[-1]
            covered.extend(range(int(first), int(last) + 1))
        assert covered == list(range(1, number + 1))
    assert catalog.archives == ("0001-0006", "0007", "0008")
    assert catalog.with_archive("0008", window=3) == catalog


def test_a_shrunken_window_compacts_at_once() -> None:
    catalog = Catalog("20261122T154500", NO_CHAMPION, (), ("0001", "0002", "0003", "0004"))
    assert catalog.with_archive("0005", window=2).archives == ("0001-0004", "0005")


GOOD = 'version: "20261122T154500"\nchampion: "none"\nchunks: []\narchives: []\n'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('version: "20261122T154500"\n', "", "version has None"),
        ('"20261122T154500"', "20261122", "version has 20261122"),
        ('champion: "none"', "champion: yes", "champion has True"),
        ("chunks: []", "chunks: [7]", "chunks has 7"),
        ("chunks: []", 'chunks: ["../../etc"]', r"chunks has '\.\./\.\./etc'"),
        ("chunks: []", 'chunks: ["0001\\n"]', "chunks has "),
        ("chunks: []", "chunks: 7", "chunks has 7, which is not a list"),
        ("chunks: []", 'chunks: "0007"', "chunks has '0007', which is not a list"),
        ("archives: []", 'archives: ["1-2"]', "archives has '1-2'"),
        ("archives: []", "archives: [", "not valid YAML"),
        (GOOD, "", "not a mapping"),
        (GOOD, "- 1\n", "not a mapping"),
    ],
)
def test_what_is_malformed_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert read_catalog(path) == EMPTY
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(DataFileError, match=f"catalog\\.yaml.*{message}"):
        read_catalog(path)


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=re.escape(f"{tmp_path / 'gone.yaml'} is missing: `git checkout")):
        read_catalog(tmp_path / "gone.yaml")
    (tmp_path / "catalog.yaml").write_bytes(b"version: \xff\xfe\n")
    with pytest.raises(DataFileError, match=r"catalog\.yaml, line 1: not UTF-8"):
        read_catalog(tmp_path / "catalog.yaml")
