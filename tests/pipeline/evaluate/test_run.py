"""The stage's files: what they hold, and that they are the same bytes each time."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.boards import JOBS
from pipeline.evaluate.figures import NAMES
from pipeline.evaluate.run import write_evaluation
from pipeline.evaluate.stored import Standing, write_stored
from pipeline.files import read_csv, write_csv, write_json
from pipeline.hashing import content_hash, file_hash
from pipeline.layout import (
    CANDIDATE,
    CARD_FILE,
    CHAMPION,
    EVALUATION,
    JOB_FLIPS_FILE,
    METRICS_FILE,
    PREPARED,
    SMOKE_FILE,
)
from pipeline.learn.examples import Example, write_sets
from pipeline.learn.learned import Learned
from pipeline.model.features import FEATURES, VOCABULARY_FILE
from pipeline.model.folder import METADATA_FILE, read_metadata
from pipeline.model.network import MODEL_FILE, load_network, save_network
from pipeline.release.champion import write_champion
from pipeline.serve.classifier import Classifier
from tests.pipeline.conftest import TINY_VERSION
from tests.support.project import ROOT

JOB_NAMES = sorted(job.name for job in JOBS)
GOLD = [  # like nothing that the tiny model has learned
    *("하늘이 무너지는 소리", "오늘 서버 점검은 언제", "강화 성공 축하해요 여러분", "이벤트 상점 재고가 없다"),
    *("길드 던전 참가 방법", "드디어 검은 마법사 솔로", "환생의 불꽃 가격 폭락", "아케인 심볼 교환처 위치"),
    *("쇼케이스 영상 감동이네", "로그인 오류가 세 시간째", "유니온 배치 어떻게 하나", "신규 보스 연출이 훌륭"),
]


@pytest.fixture
def project(
    tmp_path: Path,
    tiny_inputs: Path,
    tiny_model: Path,
    base_examples: list[Example],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with a candidate, no champion, 12 rows of gold, 6 rows of base to test on, 48 learned from."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((tiny_inputs / "params.yaml").read_text(encoding="utf-8"))
    params["evaluate"] |= {"bootstrap": 20, "slice_min": 5}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    shutil.copytree(tiny_model, CANDIDATE)
    write_champion("none")
    gold = [{"title": text, "body": "=1+1", "label": i % 3} for i, text in enumerate(GOLD)]
    write_csv(Path("data/gold/a.csv"), gold, ("title", "body", "label"))
    tests = [Example(f"{text} 그렇다", i % 3, 1.0, "base") for i, text in enumerate(GOLD[:6])]
    sets = {"train": base_examples[:48], "validation": [], "test_chunk": [], "test_base": tests}
    write_sets(sets, PREPARED)
    return tmp_path


def metrics() -> dict:
    text = METRICS_FILE.read_text(encoding="utf-8")
    assert text.isascii()  # DVC takes short Korean JSON for binary
    return json.loads(text)


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (*EVALUATION.iterdir(), METRICS_FILE)}


def test_the_first_models_evaluation(project: Path) -> None:
    write_evaluation()
    found = metrics()
    assert set(found) == {"candidate", "job_flips", "left_out", "suspects"}
    assert found["left_out"] == {"gold": 0, "test_chunk": 0, "test_base": 0}
    assert found["job_flips"] == {"texts": 0}
    assert set(found["candidate"]) == {"gold", "test_base"}  # the empty set has no figures
    assert found["candidate"]["gold"]["rows"] == 12
    rows = read_csv(EVALUATION / "gold.csv", ["row", "label"])
    assert [row["label"] for row in rows] == ["0", "1", "2"] * 4
    expected = Classifier.load(CANDIDATE).probabilities([f"{text}\n=1+1" for text in GOLD])
    judged = [[float(row[f"candidate_{name}"]) for name in NAMES] for row in rows]
    np.testing.assert_allclose(judged, expected, atol=2e-6)
    assert {row["champion_neutral"] for row in rows} == {""}
    predicted = [max(range(3), key=lambda k: float(row[f"candidate_{NAMES[k]}"])) for row in rows]
    accuracy = sum(p == int(row["label"]) for p, row in zip(predicted, rows, strict=True)) / 12
    assert found["candidate"]["gold"]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    confusion = read_csv(EVALUATION / "confusion.csv", ["actual", "predicted"])
    assert confusion == [
        {"actual": NAMES[i % 3], "predicted": NAMES[k]} for i, k in zip(range(12), predicted, strict=True)
    ]
    bins = read_csv(EVALUATION / "reliability.csv", ["low", "high", "confidence", "accuracy"])
    assert sum(int(row["rows"]) for row in bins) == 12
    assert read_csv(EVALUATION / "abstain.csv", ["threshold", "precision"])[0]["coverage"] == "1.0"
    slices = read_csv(EVALUATION / "slices.csv", ["set", "by", "slice", "rows", "accuracy"])
    assert sum(int(row["rows"]) for row in slices if row["set"] == "gold") == 12
    assert {row["accuracy"] == "" for row in slices if int(row["rows"]) < 5} <= {True}
    assert read_csv(EVALUATION / "test_chunk.csv", ["row"]) == []
    assert read_csv(EVALUATION / "flips.csv", ["change"]) == []
    suspects = read_csv(EVALUATION / "suspects.csv", ["row", "label", "suggested"])
    assert found["suspects"] == {"checked": 48, "flagged": len(suspects)}
    assert all(row["label"] != row["suggested"] for row in suspects)
    assert json.loads((EVALUATION / SMOKE_FILE).read_text(encoding="utf-8")) == {"error": "", "champion_unreadable": ""}
    assert f"# Evaluation of model {TINY_VERSION}" in (EVALUATION / CARD_FILE).read_text(encoding="utf-8")
    for name in ("confusion", "reliability", "learning_curves"):
        assert (EVALUATION / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    before = files()
    write_evaluation()
    assert files() == before


def test_dvc_finds_the_columns_of_its_plots(project: Path) -> None:
    write_evaluation()
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    assert len(plots) >= 7
    for plot in plots:
        if isinstance(plot, str):
            assert Path(plot).read_bytes().startswith(b"\x89PNG")
            continue
        for options in plot.values():
            for name, columns in options["y"].items():
                header = Path(name).read_text(encoding="utf-8").splitlines()[0].split(",")  # as DVC reads it
                wanted = [columns] if isinstance(columns, str) else columns
                assert {options["x"], *wanted} <= set(header), name


def test_candidate_and_champion_judge_the_same_rows(project: Path, model_copy: Callable[[Path, str], Path]) -> None:
    shutil.rmtree(CHAMPION)
    model_copy(CHAMPION, TINY_VERSION)
    # The same network, colder and with a threshold: the same answers, other confidences.
    changed = {**read_metadata(CHAMPION), "temperature": 0.3, "abstain_below": 0.99}
    write_json(CHAMPION / METADATA_FILE, changed)
    write_evaluation()
    found = metrics()
    champion, candidate = found["champion"]["gold"], found["candidate"]["gold"]
    assert champion["macro_f1"] == candidate["macro_f1"]
    assert champion["ece"] != candidate["ece"]
    assert (candidate["kept_share"], candidate["kept_accuracy"]) == (1.0, candidate["accuracy"])
    assert champion["kept_share"] < 1
    assert found["flips"]["gold"] == {"better": 0, "worse": 0, "other": 0}
    assert "## Answers that changed" in (EVALUATION / CARD_FILE).read_text(encoding="utf-8")


def test_changed_answers_are_listed_and_counted(project: Path, model_copy: Callable[[Path, str], Path]) -> None:
    shutil.rmtree(CHAMPION)
    model_copy(CHAMPION, TINY_VERSION)
    network = load_network(CHAMPION)
    *others, kernel, bias = network.get_weights()  # of the last layer: moods in turn, so that every answer changes
    network.set_weights([*others, np.roll(kernel, 1, axis=1), np.roll(bias, 1)])
    save_network(network, CHAMPION, TINY_VERSION)
    write_json(CHAMPION / METADATA_FILE, {**read_metadata(CHAMPION), "model_sha256": file_hash(CHAMPION / MODEL_FILE)})
    write_evaluation()
    found, rows = metrics(), read_csv(EVALUATION / "flips.csv", ["set", "row", "change", "excerpt"])
    assert len(rows) == 18
    for name, count in (("gold", 12), ("test_base", 6)):
        assert sum(found["flips"][name].values()) == count == sum(row["set"] == name for row in rows)
        gained = found["flips"][name]["better"] - found["flips"][name]["worse"]
        difference = found["candidate"][name]["accuracy"] - found["champion"][name]["accuracy"]
        assert gained / count == pytest.approx(difference, abs=1e-5)


def test_a_text_that_a_model_has_learned_leaves_the_figures(
    project: Path, model_copy: Callable[[Path, str], Path]
) -> None:
    """Gold that was added later, and a near-duplicate of what an older model learned from."""
    shutil.rmtree(CHAMPION)
    model_copy(CHAMPION, TINY_VERSION)
    late = [Example(f"{GOLD[0]}\n=1+1!", 0, 1.0, "chunk-0001"), Example(f"{GOLD[2]} 그렇다..", 1, 1.0, "chunk-0001")]
    Learned.load(CHAMPION).adding(late).save(CHAMPION)
    write_evaluation()
    found = metrics()
    assert found["left_out"] == {"gold": 1, "test_chunk": 0, "test_base": 1}
    for role in ("candidate", "champion"):
        assert (found[role]["gold"]["rows"], found[role]["test_base"]["rows"]) == (11, 5)
    assert [row["left_out"] for row in read_csv(EVALUATION / "gold.csv", ["left_out"])] == ["1", *["0"] * 11]
    card = (EVALUATION / CARD_FILE).read_text(encoding="utf-8")
    assert "has learned something like them: gold 1, test_base 1 text(s)" in card
    assert sum(int(row["rows"]) for row in read_csv(EVALUATION / "slices.csv", ["rows"]) if row["set"] == "gold") == 22


def test_a_champion_of_other_features_is_judged_by_its_stored_answers(
    project: Path, model_copy: Callable[[Path, str], Path]
) -> None:
    shutil.rmtree(CHAMPION)
    model_copy(CHAMPION, "20261101T000000")
    vocabulary = json.loads((CHAMPION / VOCABULARY_FILE).read_text(encoding="utf-8"))
    write_json(CHAMPION / VOCABULARY_FILE, {**vocabulary, "features": FEATURES - 1})
    write_evaluation()  # released before answers were kept: there is nothing to compare with
    assert set(metrics()) == {"candidate", "job_flips", "left_out", "suspects"}
    assert read_csv(EVALUATION / "gold.csv", ["champion_neutral"])[0]["champion_neutral"] == ""

    hashes = [content_hash(f"{text}\n=1+1") for text in GOLD[:9]]  # three gold texts are newer
    right = np.eye(3)[np.arange(9) % 3] * 0.97 + 0.01
    write_stored(CHAMPION, hashes, right, np.arange(9) % 3, Standing("20261101T000000", 1.0, "", 4))
    write_evaluation()
    found = metrics()
    assert (found["champion"]["gold"]["rows"], found["champion"]["gold"]["accuracy"]) == (9, 1.0)
    assert set(found["champion"]) == {"gold"}
    assert sum(found["flips"]["gold"].values()) == found["flips"]["gold"]["worse"]
    rows = read_csv(EVALUATION / "gold.csv", ["best", "champion_neutral"])
    assert [row["best"] for row in rows] == [*"012012012", "", "", ""]
    told = json.loads((EVALUATION / SMOKE_FILE).read_text(encoding="utf-8"))["champion_unreadable"]
    assert told == f"its features are of version {FEATURES - 1}, those of this code of version {FEATURES}"
    assert f"by its stored answers on gold. {told}" in (EVALUATION / CARD_FILE).read_text(encoding="utf-8")


def test_answers_that_changed_with_a_jobs_name_are_counted(
    project: Path, model_copy: Callable[[Path, str], Path]
) -> None:
    shutil.rmtree(CHAMPION)
    model_copy(CHAMPION, TINY_VERSION)
    gold = [{"title": f"{text} 비숍", "body": f"{i}", "label": i % 3} for i, text in enumerate(GOLD * 2)]
    write_csv(Path("data/gold/a.csv"), gold, ("title", "body", "label"))
    write_evaluation()
    assert metrics()["job_flips"] == {"texts": 24, "median": 0.0, "most": JOB_NAMES[0], "share": 0.0}
    rows = read_csv(EVALUATION / JOB_FLIPS_FILE, ["job", "share"])
    assert [row["job"] for row in rows] == JOB_NAMES


def test_a_broken_model_is_evaluated_and_said_to_be_broken(project: Path) -> None:
    network = load_network(CANDIDATE)
    network.set_weights([np.full_like(weight, float("nan")) for weight in network.get_weights()])
    save_network(network, CANDIDATE, TINY_VERSION)
    metadata = read_metadata(CANDIDATE)
    write_json(CANDIDATE / METADATA_FILE, {**metadata, "model_sha256": file_hash(CANDIDATE / MODEL_FILE)})
    write_evaluation()
    assert metrics()["candidate"]["gold"]["ece"] >= 0
    assert "not finite" in json.loads((EVALUATION / SMOKE_FILE).read_text(encoding="utf-8"))["error"]
