"""Sections of params.yaml as dataclasses."""

import json
import re
from dataclasses import MISSING, asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from pipeline.evaluate.params import EvaluateParams
from pipeline.inven.params import CrawlParams
from pipeline.label.options import Options
from pipeline.learn.params import PrepareParams, TrainParams
from pipeline.params import (
    ArchiveParams,
    CatalogParams,
    CutParams,
    ParamsError,
    ScoreParams,
    Share,
    TextParams,
    checked,
    read_params,
)
from pipeline.release.promote import PromoteParams
from tests.support import ROOT

KINDS: dict[str, type] = {
    "crawl": CrawlParams,
    "cut": CutParams,
    "archive": ArchiveParams,
    "catalog": CatalogParams,
    "label": Options,
    "text": TextParams,
    "prepare": PrepareParams,
    "train": TrainParams,
    "evaluate": EvaluateParams,
    "promote": PromoteParams,
    "score": ScoreParams,
}


def test_every_section_is_read_as_its_dataclass() -> None:
    document = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert set(document) == set(KINDS)
    for section, kind in KINDS.items():
        found = read_params(section, kind, ROOT / "params.yaml")
        assert json.loads(json.dumps(asdict(found))) == document[section]


def test_no_code_reads_a_section_in_another_way() -> None:
    """Labelling alone takes the section as it stands, and checks it by `Options.of`."""
    reads = re.compile(r"read_section\(|PARAMS_FILE|yaml\.safe_load\([^)]*params")
    sources = [
        path.relative_to(ROOT) for folder in ("pipeline", "flows", "app") for path in (ROOT / folder).rglob("*.py")
    ]
    found = {str(path) for path in sources if reads.search((ROOT / path).read_text(encoding="utf-8"))}
    assert found <= {"pipeline/params.py", "pipeline/label/__main__.py", "flows/learn.py"}


@dataclass(frozen=True)
class Sample:
    count: int
    share: Share
    on: bool
    name: Literal["a", "b"]
    widths: tuple[int, ...]


GOOD = {"count": 3, "share": 0.5, "on": False, "name": "a", "widths": [1, 2]}


def sample(**changes: Any) -> Sample:
    values = {key: value for key, value in (GOOD | changes).items() if value is not MISSING}
    return checked("sample", Sample, values)


def test_a_section_s_types_by_hand() -> None:
    assert sample() == Sample(3, 0.5, False, "a", (1, 2))
    assert sample(share=1) == Sample(3, 1.0, False, "a", (1, 2))  # a whole number is a share, too


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": MISSING}, "count is missing"),
        ({"cuont": 4, "count": MISSING}, r"cuont is unknown \(did you mean count\?\); count is missing"),
        ({"fleas": 4}, "fleas is unknown$"),
        ({"count": "3"}, "count is '3': should be a valid integer"),
        ({"count": 3.5}, "count is 3.5: should be a valid integer"),
        ({"count": True}, "count is True: should be a valid integer"),
        ({"count": None}, "count is None: should be a valid integer"),
        ({"share": 10}, "share is 10(.0)?: should be less than or equal to 1"),
        ({"share": float("nan")}, "share is nan: should be"),
        ({"on": 1}, "on is 1: should be a valid boolean"),
        ({"on": "no"}, "on is 'no': should be a valid boolean"),
        ({"name": "c"}, "name is 'c': should be 'a' or 'b'"),
        ({"widths": [1, "2"]}, r"widths\.1 is '2': should be a valid integer"),
        ({"widths": 1}, "widths is 1: should be a valid"),
    ],
)
def test_the_key_that_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=rf"params\.yaml, section sample: .*{message}"):
        sample(**changes)


def test_every_section_that_a_stage_watches_exists() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    watched = {
        name for stage in stages.values() for name in stage.get("do", stage).get("params", []) if isinstance(name, str)
    }
    assert watched >= {"prepare", "train", "evaluate", "promote", "label"}
    assert watched <= set(KINDS)


def test_params_problems_name_file_and_section(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(ParamsError, match=r"params\.yaml is missing: run from the project's root"):
        read_params("cut", CutParams, path)
    path.write_text("cut: {size: 1\n", encoding="utf-8")
    with pytest.raises(ParamsError, match=r"params\.yaml is not valid YAML"):
        read_params("cut", CutParams, path)
    path.write_bytes("cut: # 크기\n".encode("cp949"))
    with pytest.raises(ParamsError, match=r"params\.yaml is not UTF-8 but cp949"):
        read_params("cut", CutParams, path)
    for document in ("", "- cut\n", "cut: 5\n", "other: {a: 1}\n"):
        path.write_text(document, encoding="utf-8")
        with pytest.raises(ParamsError, match="has no section 'cut'"):
            read_params("cut", CutParams, path)
