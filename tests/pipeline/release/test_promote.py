"""The release gate: every way it can decide, and the folder that it fills."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.evaluate.figures import NAMES
from pipeline.files import DataFileError, write_csv, write_json, write_text
from pipeline.layout import CANDIDATE, CARD_FILE, CHAMPION, DECISION_FILE, EVALUATION, PRODUCTION, SMOKE_FILE
from pipeline.model.folder import METADATA_FILE
from pipeline.release.champion import write_champion
from pipeline.release.promote import PRODUCTION_CARD, decide, replace_folder, worse_share, write_production
from tests.pipeline.conftest import TINY_VERSION
from tests.support import ROOT
from tests.support.params import promote_params

OLD = "20261101T000000"
PARAMS = promote_params(tolerance=0.01, max_risk=0.5, recall_floor=0.2, bootstrap=40, seed=1)
LABELS = np.tile([0, 1, 2], 20)
RIGHT = LABELS.copy()
NO_POSITIVE = np.where(LABELS == 2, 1, LABELS)  # recall of 긍정 is 0
SLIGHTLY_WRONG = np.where(np.arange(60) < 6, (LABELS + 1) % 3, LABELS)


def verdict(
    challenger: np.ndarray,
    champion: np.ndarray | None,
    labels: np.ndarray = LABELS,
    smoke_error: str = "",
    **params: Any,
) -> dict[str, Any]:
    return decide(labels, challenger, champion, smoke_error, replace(PARAMS, **params))


def test_share_of_samples_in_which_it_is_worse_by_hand() -> None:
    labels, champion, challenger = np.array([0, 1]), np.array([0, 1]), np.array([0, 0])

    def share(tolerance: float) -> float:
        return worse_share(labels, champion, challenger, tolerance=tolerance, samples=150, seed=1)

    # Draws of two rows: twice the first: equal; both (half of the draws): 2/9 against 2/3; twice the second: 0 to 1/3.
    assert share(0.01) == pytest.approx(0.75, abs=0.07)
    assert share(0.4) == pytest.approx(0.5, abs=0.08)
    assert share(0.5) == 0
    assert worse_share(LABELS, RIGHT, RIGHT, tolerance=0.0, samples=50, seed=1) == 0
    assert worse_share(LABELS, NO_POSITIVE, RIGHT, tolerance=0.0, samples=50, seed=1) == 0
    assert worse_share(LABELS, RIGHT, NO_POSITIVE, tolerance=0.01, samples=50, seed=1) == 1


def test_the_first_model_wins_however_it_does() -> None:
    found = verdict(NO_POSITIVE, None)
    assert found["verdict"] == "promoted"
    assert found["reasons"] == ["there is no champion yet"]
    assert found["recall"] == {"negative": 1.0, "neutral": 1.0, "positive": 0.0}
    assert verdict(np.array([], dtype=int), None, labels=np.array([], dtype=int))["verdict"] == "promoted"


def test_the_first_model_must_answer() -> None:
    found = verdict(RIGHT, None, smoke_error="it does not load: x")
    assert found["verdict"] == "rejected"
    assert "smoke test: it does not load: x" in found["reasons"]


def test_as_good_a_challenger_wins() -> None:
    found = verdict(RIGHT, RIGHT)
    assert found["verdict"] == "promoted"
    assert found["reasons"] == ["no worse than the champion on gold, every recall above its floor, smoke test passed"]
    assert (found["challenger_macro_f1"], found["champion_macro_f1"], found["share_worse"]) == (1.0, 1.0, 0.0)
    assert verdict(RIGHT, NO_POSITIVE)["verdict"] == "promoted"


def test_a_worse_one_loses() -> None:
    found = verdict(SLIGHTLY_WRONG, RIGHT)
    assert found["verdict"] == "rejected"
    assert found["share_worse"] > 0.9
    share = f"{found['share_worse']:.0%}"
    assert found["reasons"] == [f"macro-F1 on gold is worse by more than 0.01 in {share} of bootstrap samples"]
    assert found["challenger_macro_f1"] == pytest.approx(0.9, abs=0.01)


def test_tolerance_and_risk_decide_what_is_worse() -> None:
    assert verdict(SLIGHTLY_WRONG, RIGHT, tolerance=0.3)["verdict"] == "promoted"
    share = verdict(SLIGHTLY_WRONG, RIGHT, tolerance=0.1)["share_worse"]
    assert 0.2 < share < 0.8
    assert verdict(SLIGHTLY_WRONG, RIGHT, tolerance=0.1, max_risk=share)["verdict"] == "promoted"
    assert verdict(SLIGHTLY_WRONG, RIGHT, tolerance=0.1, max_risk=share - 0.001)["verdict"] == "rejected"


def test_a_mood_that_is_never_found_loses() -> None:
    found = verdict(NO_POSITIVE, NO_POSITIVE)
    assert found["verdict"] == "rejected"
    assert found["reasons"] == ["recall of positive is 0.000, under the floor 0.2"]
    assert verdict(NO_POSITIVE, NO_POSITIVE, recall_floor=0.0)["verdict"] == "promoted"


def test_a_mood_that_gold_lacks_has_no_recall() -> None:
    some = LABELS[LABELS < 2]
    found = verdict(some, some, labels=some)
    assert found["recall"]["positive"] is None
    assert found["verdict"] == "promoted"


def test_without_gold_the_champion_stays() -> None:
    empty = np.array([], dtype=int)
    found = verdict(empty, empty, labels=empty)
    assert found["verdict"] == "rejected"
    assert found["reasons"] == ["data/gold holds no rows to compare on"]


def test_a_challenger_that_does_not_answer_loses_however_good() -> None:
    found = verdict(RIGHT, NO_POSITIVE, smoke_error="it answers every text alike")
    assert found["verdict"] == "rejected"
    assert found["reasons"] == ["smoke test: it answers every text alike"]


def test_the_decision_is_the_same_every_time() -> None:
    assert verdict(SLIGHTLY_WRONG, RIGHT, tolerance=0.1) == verdict(SLIGHTLY_WRONG, RIGHT, tolerance=0.1)


# --- the stage ------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the tiny model as candidate and no champion."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["promote"]["bootstrap"] = 40
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    shutil.copytree(tiny_model, CANDIDATE)
    write_champion("none")
    return tmp_path


def judged(candidate: np.ndarray, champion: np.ndarray | None, smoke_error: str = "") -> None:
    """Write `gold.csv`, the smoke test and the card as `evaluate` does: one-hot probabilities of these labels."""
    columns = ["row", "label"] + [f"{model}_{name}" for model in ("candidate", "champion") for name in NAMES]
    rows = []
    for i, label in enumerate(LABELS):
        row: dict[str, Any] = {**dict.fromkeys(columns), "row": i, "label": label}
        row.update({f"candidate_{name}": float(candidate[i] == k) for k, name in enumerate(NAMES)})
        if champion is not None:
            row.update({f"champion_{name}": float(champion[i] == k) for k, name in enumerate(NAMES)})
        rows.append(row)
    write_csv(EVALUATION / "gold.csv", rows, columns)
    write_json(EVALUATION / SMOKE_FILE, {"error": smoke_error})
    write_text(EVALUATION / CARD_FILE, f"# Card of {TINY_VERSION}\n")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_first_model_goes_into_production(project: Path) -> None:
    judged(NO_POSITIVE, None)
    decision = write_production()
    assert json.loads(DECISION_FILE.read_text(encoding="utf-8")) == decision
    assert decision["verdict"] == "promoted"
    assert (decision["challenger"], decision["champion"], decision["production"]) == (TINY_VERSION, None, TINY_VERSION)
    card = {PRODUCTION_CARD: f"# Card of {TINY_VERSION}\n".encode()}
    assert contents(PRODUCTION) == contents(CANDIDATE) | card


def test_the_better_of_two_goes_into_production(project: Path, model_copy: Callable[[Path, str], Path]) -> None:
    shutil.rmtree(CHAMPION)
    model_copy(CHAMPION, OLD)
    write_text(CHAMPION / PRODUCTION_CARD, f"# Card of {OLD}\n")  # it was in production
    judged(NO_POSITIVE, RIGHT)
    decision = write_production()
    assert decision["verdict"] == "rejected"
    assert (decision["challenger"], decision["champion"], decision["production"]) == (TINY_VERSION, OLD, OLD)
    assert contents(PRODUCTION) == contents(CHAMPION)
    judged(RIGHT, NO_POSITIVE)
    assert write_production()["production"] == TINY_VERSION
    card = {PRODUCTION_CARD: f"# Card of {TINY_VERSION}\n".encode()}
    assert contents(PRODUCTION) == contents(CANDIDATE) | card


def test_a_first_model_that_cannot_be_served_is_an_error(project: Path) -> None:
    judged(RIGHT, None, "it answers every text alike")
    with pytest.raises(DataFileError, match="first model can't be served: smoke test: it answers every text alike"):
        write_production()
    assert not PRODUCTION.exists()


def test_a_better_model_that_failed_the_smoke_test_is_not_served(
    project: Path, model_copy: Callable[[Path, str], Path]
) -> None:
    shutil.rmtree(CHAMPION)
    model_copy(CHAMPION, OLD)
    judged(RIGHT, NO_POSITIVE, "its probabilities are not finite or do not sum to one")
    assert write_production()["production"] == OLD
    (EVALUATION / SMOKE_FILE).write_text("{}", encoding="utf-8")
    with pytest.raises(DataFileError, match=r"smoke\.json can't be read.*`dvc repro evaluate`"):
        write_production()


# --- the folder -----------------------------------------------------------------------------------------


def folder_of(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return path


def test_a_replaced_folder_is_a_copy_without_leftovers(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "new", metadata_json="new", model_keras="new", vocabulary_json="new")
    target = folder_of(tmp_path / "old", metadata_json="old", model_keras="old", notes_txt="old")
    (target / ".model.keras.tmp").write_bytes(b"left by a run that was killed")
    for _ in range(2):
        replace_folder(source, target)
        assert contents(target) == contents(source)
    replace_folder(source, tmp_path / "a" / "b")
    assert contents(tmp_path / "a" / "b") == contents(source)


def test_metadata_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder_of(tmp_path / "new", metadata_json="new", model_keras="new", vocabulary_json="new", a_csv="new")
    target = folder_of(tmp_path / "old", metadata_json="old", model_keras="old", vocabulary_json="old")
    real, seen = Path.replace, []

    def replace(self: Path, name: Path) -> Path:
        seen.append(name.name)
        if len(seen) == 3:
            raise OSError(28, "No space left on device")
        return real(self, name)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="No space"):
        replace_folder(source, target)
    assert (target / METADATA_FILE).read_text(encoding="utf-8") == "old"  # readers still have the old version
    assert METADATA_FILE not in seen
    replace_folder(source, tmp_path / "other")
    assert len(seen) == 7
    assert seen[-1] == METADATA_FILE
