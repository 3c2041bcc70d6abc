"""The release gate: every way it can decide, and the folder that it fills."""

import json
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.evaluate.figures import NAMES, macro_f1
from pipeline.evaluate.job_flips import COLUMNS as FLIP_COLUMNS
from pipeline.evaluate.stored import ANSWERS_FILE, STANDING_FILE, UNKNOWN, read_stored
from pipeline.files import DataFileError, write_csv, write_json, write_text
from pipeline.hashing import content_hash
from pipeline.layout import (
    CANDIDATE,
    CARD_FILE,
    CHAMPION,
    DECISION_FILE,
    EVALUATION,
    JOB_FLIPS_FILE,
    PRODUCTION,
    SMOKE_FILE,
)
from pipeline.model.folder import METADATA_FILE
from pipeline.release.champion import write_champion
from pipeline.release.gate import decide, worse_share
from pipeline.release.promote import PRODUCTION_CARD, replace_folder, write_production
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


def judged(
    candidate: np.ndarray,
    champion: np.ndarray | None,
    smoke_error: str = "",
    unreadable: str = "",
    left_out: Collection[int] = (),
    job_flips: Sequence[dict[str, Any]] = (),
) -> None:
    """Write `gold.csv`, the smoke test and the card as `evaluate` does: one-hot probabilities of these labels."""
    columns = ["row", "label", "left_out", "text_sha256", "best"]
    columns += [f"{model}_{name}" for model in ("candidate", "champion") for name in NAMES]
    stored = read_stored(CHAMPION).best_of([f"글 {i}" for i in range(len(LABELS))])
    rows = []
    for i, label in enumerate(LABELS):
        row: dict[str, Any] = {**dict.fromkeys(columns), "row": i, "label": label, "left_out": int(i in left_out)}
        row |= {"text_sha256": content_hash(f"글 {i}"), "best": stored[i] if stored[i] != UNKNOWN else None}
        row.update({f"candidate_{name}": float(candidate[i] == k) for k, name in enumerate(NAMES)})
        if champion is not None:
            row.update({f"champion_{name}": float(champion[i] == k) for k, name in enumerate(NAMES)})
        rows.append(row)
    write_csv(EVALUATION / "gold.csv", rows, columns)
    write_csv(EVALUATION / JOB_FLIPS_FILE, job_flips, FLIP_COLUMNS)
    write_json(EVALUATION / SMOKE_FILE, {"error": smoke_error, "champion_unreadable": unreadable})
    write_text(EVALUATION / CARD_FILE, f"# Card of {TINY_VERSION}\n")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kept(folder: Path) -> dict[str, bytes]:
    """What the gate keeps beside a model."""
    return {name: (folder / name).read_bytes() for name in (ANSWERS_FILE, STANDING_FILE)}


def test_the_first_model_goes_into_production(project: Path) -> None:
    judged(NO_POSITIVE, None)
    decision = write_production()
    assert json.loads(DECISION_FILE.read_text(encoding="utf-8")) == decision
    assert decision["verdict"] == "promoted"
    assert (decision["challenger"], decision["champion"], decision["production"]) == (TINY_VERSION, None, TINY_VERSION)
    card = {PRODUCTION_CARD: f"# Card of {TINY_VERSION}\n".encode()}
    assert contents(PRODUCTION) == contents(CANDIDATE) | card | kept(PRODUCTION)


def test_the_better_of_two_goes_into_production(project: Path, model_copy: Callable[[Path, str], Path]) -> None:
    shutil.rmtree(CHAMPION)
    model_copy(CHAMPION, OLD)
    write_text(CHAMPION / PRODUCTION_CARD, f"# Card of {OLD}\n")  # it was in production
    judged(NO_POSITIVE, RIGHT)
    decision = write_production()
    assert decision["verdict"] == "rejected"
    assert (decision["challenger"], decision["champion"], decision["production"]) == (TINY_VERSION, OLD, OLD)
    assert contents(PRODUCTION) == contents(CHAMPION) | kept(PRODUCTION)
    judged(RIGHT, NO_POSITIVE)
    assert write_production()["production"] == TINY_VERSION
    card = {PRODUCTION_CARD: f"# Card of {TINY_VERSION}\n".encode()}
    assert contents(PRODUCTION) == contents(CANDIDATE) | card | kept(PRODUCTION)


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


# --- many releases ----------------------------------------------------------------------------------------


def release(candidate: np.ndarray, number: int, model_copy: Callable[[Path, str], Path]) -> dict[str, Any]:
    """One more release: what is in production becomes the champion, a model with these answers the candidate."""
    shutil.rmtree(CHAMPION)
    shutil.copytree(PRODUCTION, CHAMPION)
    shutil.rmtree(CANDIDATE)
    model_copy(CANDIDATE, f"20261201T{number:06d}")
    served = read_stored(CHAMPION).probabilities_of([f"글 {i}" for i in range(len(LABELS))]).argmax(axis=1)
    judged(candidate, served)
    return write_production()


def test_small_losses_do_not_add_up(project: Path, model_copy: Callable[[Path, str], Path]) -> None:
    """Each challenger has one right answer less than what is served: yesterday's champion alone lets it pass."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["promote"]["tolerance"] = 0.03  # of 60 texts one is 0.017
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    wrong = np.where(np.arange(60) < 12, (LABELS + 1) % 3, LABELS)
    judged(wrong, None)
    write_production()
    started, lost, decisions = macro_f1(LABELS, wrong), 0, []
    for number, place in enumerate(range(12, 40)):
        worse = np.where(np.arange(60) == place, (LABELS + 1) % 3, answers_in_production())
        found = release(worse, number, model_copy)
        decisions.append(found["verdict"])
        lost += found["verdict"] == "promoted"
        assert found["best"] == TINY_VERSION
        assert found["judged_on_this_gold"] == number + 2
    assert 1 <= lost <= 5
    assert macro_f1(LABELS, answers_in_production()) > started - 0.1  # gold of 60 texts can't tell less
    assert decisions[-20:] == ["rejected"] * 20
    reasons = json.loads(DECISION_FILE.read_text(encoding="utf-8"))["reasons"]
    assert any("than that of the best model ever served" in reason for reason in reasons)


def answers_in_production() -> np.ndarray:
    return read_stored(PRODUCTION).probabilities_of([f"글 {i}" for i in range(len(LABELS))]).argmax(axis=1)


def test_a_better_model_becomes_the_best(project: Path, model_copy: Callable[[Path, str], Path]) -> None:
    judged(SLIGHTLY_WRONG, None)
    assert write_production()["best"] == TINY_VERSION
    found = release(RIGHT, 1, model_copy)
    assert (found["verdict"], found["best"]) == ("promoted", "20261201T000001")
    found = release(SLIGHTLY_WRONG, 2, model_copy)
    assert (found["verdict"], found["best"], found["production"]) == (
        "rejected",
        "20261201T000001",
        "20261201T000001",
    )


def test_other_gold_begins_anew(project: Path, model_copy: Callable[[Path, str], Path]) -> None:
    judged(RIGHT, None)
    write_production()
    for name in (ANSWERS_FILE, STANDING_FILE):  # as a model has it that was released before answers were kept
        (PRODUCTION / name).unlink()
    shutil.rmtree(CHAMPION)
    shutil.copytree(PRODUCTION, CHAMPION)
    judged(SLIGHTLY_WRONG, SLIGHTLY_WRONG)
    found = write_production()
    assert (found["verdict"], found["best"], found["judged_on_this_gold"]) == ("promoted", TINY_VERSION, 1)


def test_a_champion_that_cant_be_loaded_is_compared_and_gives_way(
    project: Path, model_copy: Callable[[Path, str], Path]
) -> None:
    shutil.rmtree(CHAMPION)
    model_copy(CHAMPION, OLD)
    old = "its features are of version 2, those of this code of version 3"
    judged(SLIGHTLY_WRONG, RIGHT, unreadable=old)
    found = write_production()
    assert (found["verdict"], found["production"], found["champion_macro_f1"]) == ("promoted", TINY_VERSION, 1.0)
    assert found["reasons"][0] == f"the champion gives way, as this code can't serve it: {old}"
    assert found["reasons"][1].startswith("macro-F1 on gold is worse by more than 0.01")
    judged(SLIGHTLY_WRONG, RIGHT, smoke_error="it answers every text alike", unreadable=old)
    assert write_production()["production"] == OLD


def test_gold_that_was_learned_does_not_count(project: Path, model_copy: Callable[[Path, str], Path]) -> None:
    shutil.rmtree(CHAMPION)
    model_copy(CHAMPION, OLD)
    judged(SLIGHTLY_WRONG, RIGHT, left_out=range(6))  # the champion has learned what it alone knows
    found = write_production()
    assert (found["verdict"], found["gold_texts"], found["gold_left_out"]) == ("promoted", 54, 6)
    judged(RIGHT, RIGHT, left_out=range(60))
    found = write_production()
    assert found["verdict"] == "rejected"
    assert found["reasons"] == ["data/gold holds no rows to compare on: all 60 were learned before"]


def flips(**shares: float) -> list[dict[str, Any]]:
    return [
        {**dict.fromkeys(FLIP_COLUMNS, 0), "job": job, "name": job, "texts": 40, "to_negative": round(40 * share)}
        for job, share in shares.items()
    ]


def test_answers_that_hang_on_one_jobs_name_stop_a_challenger(
    project: Path, model_copy: Callable[[Path, str], Path]
) -> None:
    shutil.rmtree(CHAMPION)
    model_copy(CHAMPION, OLD)
    judged(RIGHT, RIGHT, job_flips=flips(비숍=0.425, 렌=0.1, 아델=0.075))
    found = write_production()
    assert found["verdict"] == "rejected"
    assert "with the name 비숍 in them 42% of 40 texts turn negative, with the median job's 10%" in found["reasons"][0]
    assert "raise promote.max_job_flips" in found["reasons"][0]
    # Where every name changes as much, the model has changed, not its opinion of a job.
    judged(RIGHT, RIGHT, job_flips=flips(비숍=0.425, 렌=0.4, 아델=0.375))
    assert write_production()["verdict"] == "promoted"


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
