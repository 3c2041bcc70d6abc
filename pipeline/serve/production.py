"""The model in production: loaded beside the one that answers, and swapped when it has answered its smoke texts."""

import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipeline.files import DataFileError
from pipeline.layout import PRODUCTION
from pipeline.model.features import OtherFeatures
from pipeline.model.folder import METADATA_FILE, read_metadata
from pipeline.serve.classifier import Classifier

log = logging.getLogger(__name__)

LOOK_S, LONGEST_WAIT_S = 1.0, 60.0  # between two looks at the folder; after failures twice as long each time
_SMOKE_TEXTS = ("이번 패치 진짜 최고다 너무 재밌어", "사냥터 추천 좀 해주세요", "버그투성이에 하향까지 노답이네")


class ProductionModel:
    """The model of a folder. `current` never waits; `refresh` loads a version that is new there, and takes seconds."""

    def __init__(self, folder: Path = PRODUCTION) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._classifier: Classifier | None = None
        self._refused = ""  # the version that failed its smoke test, or that this code can't read
        self._outdated = False
        self._failures = 0
        self._said = ""

    def current(self) -> Classifier | None:
        """The model that answers now, None before the first one is loaded."""
        return self._classifier

    @property
    def warming_up(self) -> bool:
        """Whether the first model is there and about to answer."""
        return self._classifier is None and not self._refused and (self._folder / METADATA_FILE).exists()

    @property
    def outdated(self) -> bool:
        """Whether no model answers because the one that is there needs another version of the code."""
        return self._classifier is None and self._outdated

    def refresh(self) -> Classifier | None:
        """Take up what is new in the folder (promotion, checkout, restore). Returns the model that answers then.

        The old model stays while files are missing or do not belong together, and when the new one fails its smoke
        test. What else keeps it from being loaded is raised.
        """
        with self._lock:
            try:
                stat = (self._folder / METADATA_FILE).stat()
            except OSError:
                return self._classifier  # nothing yet, or DVC is just replacing the folder
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen == self._seen:
                return self._classifier
            try:
                self._take_up(read_metadata(self._folder)["version"])
            except OtherFeatures as error:
                self._refused, self._outdated = read_metadata(self._folder)["version"], True
                self._say(f"no model answers: {error}")
            except (DataFileError, OSError, ValueError) as error:
                self._failures += 1
                self._say(f"the model in {self._folder} can't be loaded yet: {error}")
                return self._classifier  # half of the folder is there: the next look tries again
            self._seen, self._failures, self._said = seen, 0, ""
            return self._classifier

    def _take_up(self, version: str) -> None:
        if self._classifier and version == self._classifier.version:
            return  # DVC links files: an unchanged version keeps the model that is loaded
        self._refused, self._outdated = "", False
        loaded = Classifier.load(self._folder)
        if problem := smoke_error(loaded):
            self._refused = loaded.version
            log.error("model %s is not served: %s", loaded.version, problem)
        else:
            self._classifier = loaded
            log.info("model %s answers now", loaded.version)
        del loaded
        # Networks are full of circles, and Python looks for them rarely: 12 MB a model piled up.
        gc.collect()

    def _say(self, problem: str) -> None:
        if problem != self._said:  # once, not at every look
            self._said = problem
            log.warning(problem)

    @contextmanager
    def watched(self, look_s: float = LOOK_S) -> Iterator[None]:
        """Refresh in a thread of its own for the length of the block, a look every `look_s` seconds."""
        stop = threading.Event()

        def look() -> None:
            while True:
                try:
                    self.refresh()
                except Exception as error:  # whatever a file can do to the libraries: the old model goes on
                    self._failures += 1
                    self._say(f"the model in {self._folder} can't be loaded: {type(error).__name__}: {error}")
                if stop.wait(min(LONGEST_WAIT_S, look_s * 2 ** min(self._failures, 10))):
                    return

        thread = threading.Thread(target=look, name="load-model", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=5)


def smoke_error(model: Classifier) -> str:
    """Empty when the model answers, and not the same to everything; else what is wrong with its answers."""
    probabilities = model.probabilities(_SMOKE_TEXTS)
    if not np.isfinite(probabilities).all() or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-6):
        return "its probabilities are not finite or do not sum to one"
    if np.allclose(probabilities, probabilities[0], atol=1e-6):
        return "it answers every text alike"
    return ""
