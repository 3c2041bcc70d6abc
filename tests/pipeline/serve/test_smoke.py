"""A model that is to be served must answer, and not the same to everything."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import write_json
from pipeline.hashing import file_hash
from pipeline.model.folder import METADATA_FILE, read_metadata
from pipeline.model.network import MODEL_FILE, load_network, save_network
from pipeline.serve.classifier import Classifier
from pipeline.serve.production import smoke_error


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
