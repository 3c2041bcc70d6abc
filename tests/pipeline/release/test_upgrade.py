"""A `git pull` that raises FEATURES: learning goes on cold, the old champion is compared, the way out works."""

import json
import sys
from pathlib import Path

import pytest

from pipeline.freeze.repository import Repository
from pipeline.model.features import FEATURES
from tests.support.project import make_project, run


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_release_after_the_features_were_raised(tmp_path: Path) -> None:
    """In a checkout without a DVC remote, which is optional."""
    root = make_project(tmp_path / "project")
    run(root, sys.executable, "-m", "dvc", "remote", "remove", "store")
    run(root, "git", "commit", "--quiet", "--all", "--message", "No remote")
    release = (sys.executable, "-m", "pipeline.release")
    run(root, *release)
    first = read(root / "models/production/metadata.json")["version"]

    code = root / "pipeline/model/features.py"
    text = code.read_text(encoding="utf-8")
    code.write_text(text.replace(f"FEATURES = {FEATURES}", f"FEATURES = {FEATURES + 1}", 1), encoding="utf-8")
    run(root, "git", "commit", "--quiet", "--all", "--message", "Upgrade")
    assert "promoted" in run(root, *release)
    decision = read(root / "models/decision.json")
    assert (decision["champion"], decision["best"], decision["judged_on_this_gold"]) == (first, first, 2)
    assert decision["champion_macro_f1"] == read(root / "models/production/standing.json")["best_macro_f1"]
    assert decision["reasons"][0].startswith("the champion gives way, as this code can't serve it: its features are")
    second = read(root / "models/production/metadata.json")
    assert second["version"] == decision["challenger"]
    assert (second["warm_start"], second["cold_start"][:20]) == (None, "the champion can't b")
    assert Repository(root).changed("data", "dvc.lock", "models/metrics.json") == []

    # The way out of every comparison, committed by a person.
    catalog = root / "data/catalog.yaml"
    lines = catalog.read_text(encoding="utf-8").splitlines()
    changed = ['champion: "none"' if line.startswith("champion:") else line for line in lines]
    catalog.write_text("\n".join(changed) + "\n", encoding="utf-8")
    run(root, "git", "commit", "--quiet", "--all", "--message", "Begin anew")
    run(root, *release)
    assert read(root / "models/decision.json")["reasons"] == ["there is no champion yet"]
