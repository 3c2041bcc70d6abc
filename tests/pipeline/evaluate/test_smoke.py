"""A model that is to be served must answer, and not the same to everything."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.classifier import METADATA_FILE, Classifier, read_metadata
from pipeline.evaluate.smoke import smoke_error
from pipeline.files import file_hash, write_json
from pipeline.model import MODEL_FILE, load_network, save_network


@pytest.mark.parametrize(("value", "message"), [(None, ""), (0.0, "answers every text alike"), (np.nan, "not finite")])
def test_smoke(tmp_path: Path, tiny_model: Path, value: float | None, message: str) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    if value is not None:
        network = load_network(folder)
        network.set_weights([np.full_like(weight, value) for weight in network.get_weights()])
        save_network(network, folder, "x")
        metadata = {**read_metadata(folder), "model_sha256": file_hash(folder / MODEL_FILE)}
        write_json(folder / METADATA_FILE, metadata)
    found = smoke_error(Classifier.load(folder))
    assert message in found
    assert bool(found) == bool(message)
