"""Models are swapped while people use the page: every request is answered, by the old one or by the new one."""

import shutil
import threading
import time
from pathlib import Path

import httpx
import pytest

from app.services import Services
from pipeline.live.store import Store
from pipeline.release.promote import replace_folder
from pipeline.serve.production import ProductionModel
from tests.app.world import Running, fill, services_of
from tests.pipeline.conftest import base_examples, model_copy, tiny_inputs, tiny_model  # noqa: F401 (fixtures)

OLD, NEW = "20261122T000000", "20261123T000000"
SWAPS = 3


def judged(url: str, text: str) -> str | None:
    """The version that judged a text; None when none did. Anything else than an answer fails."""
    joined = httpx.post(f"{url}/gradio_api/call/analyse", json={"data": [text]}, timeout=30)
    assert joined.status_code == 200, joined.text
    answer = httpx.get(f"{url}/gradio_api/call/analyse/{joined.json()['event_id']}", timeout=30).text
    assert answer.startswith("event: complete"), answer
    return None if '"model_version": null' in answer else NEW if NEW in answer else OLD


@pytest.mark.slow
def test_no_request_fails_or_waits_while_models_come_and_go(
    tmp_path: Path,
    model_copy,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Services, "analyse", _unlimited(Services.analyse))
    monkeypatch.setattr("app.queue.EVENTS_PER_MINUTE", 100_000)
    folder = tmp_path / "production"
    models = [model_copy(tmp_path / version, version) for version in (OLD, NEW)]
    production = ProductionModel(folder)
    seen: list[tuple[str | None, float]] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def visit() -> None:
        while not done.is_set():
            started = time.monotonic()
            try:
                seen.append((judged(running.url, "비숍 갓캐"), time.monotonic() - started))
            except BaseException as error:
                failed.append(error)
                return

    with Store(f"sqlite:///{tmp_path / 'live.db'}") as store:
        fill(store)
        with Running(services_of(store, production)) as running, production.watched(look_s=0.05):
            visitors = [threading.Thread(target=visit, daemon=True) for _ in range(3)]
            for visitor in visitors:
                visitor.start()
            _until(lambda: len(seen) > 5)
            assert {version for version, _ in seen} == {None}
            shutil.copytree(models[0], folder)
            for swap in range(1, SWAPS + 1):
                replace_folder(models[swap % 2], folder)
                wanted = (OLD, NEW)[swap % 2]
                _until(lambda wanted=wanted: seen[-1][0] == wanted or bool(failed))
            done.set()
            for visitor in visitors:
                visitor.join(30)
    assert failed == []
    assert {version for version, _ in seen} == {None, OLD, NEW}
    assert max(seconds for _, seconds in seen) < 10


def _unlimited(analyse):
    number = iter(range(10**9))
    return lambda self, text, *, client: analyse(self, text, client=f"visitor {next(number) // 20}")


def _until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
