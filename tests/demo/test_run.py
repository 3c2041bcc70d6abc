"""The demo's scratch clone: its own history and settings, and nothing of it in the user's checkout."""

import shutil
from pathlib import Path

import pytest
import yaml

from demo import run as demo
from pipeline.freeze.repository import Repository
from tests.support.project import make_project, run


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_project(tmp_path / "checkout", "prefect.yaml", "prefect.toml")
    shutil.copy("params.yaml", root / "params.yaml")
    run(root, "git", "commit", "--quiet", "--all", "--message", "Real params")
    for name, path in {"REPOSITORY": root, "DEMO": root / ".demo", "RUN": root / ".demo/.run"}.items():
        monkeypatch.setattr(demo, name, path)
    return root


def test_the_clone_has_small_thresholds_and_the_checkout_is_untouched(checkout: Path) -> None:
    before = run(checkout, "git", "rev-parse", "HEAD")
    demo.make_clone()
    demo.make_clone()  # again: afresh
    params = yaml.safe_load((demo.DEMO / "params.yaml").read_text(encoding="utf-8"))
    assert (params["cut"]["size"], params["archive"]["size"]) == (120, 10)
    assert params["crawl"]["min_interval"] < 0.1
    assert params["crawl"]["max_wait"] == 0  # each run visits every board
    assert yaml.safe_load((checkout / "params.yaml").read_text(encoding="utf-8"))["cut"]["size"] == 1000
    Repository(demo.DEMO).require_ready()
    assert run(demo.DEMO, "git", "remote") == ""
    assert run(checkout, "git", "rev-parse", "HEAD") == before
    assert run(checkout, "git", "status", "--porcelain") == ""


def test_a_folder_that_is_somebody_elses_is_not_deleted(checkout: Path) -> None:
    demo.DEMO.mkdir()
    (demo.DEMO / "thesis.txt").write_text("mine")
    with pytest.raises(demo.DemoError, match="move it away"):
        demo.make_clone()
    assert (demo.DEMO / "thesis.txt").exists()


def test_a_port_in_use_ends_in_a_message_that_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(demo.DemoError, match=rf"{port} is in use.*APP_PORT={port + 1}"):
            demo.free_port(port)
