"""Prefect's home in the checkout: one login however many processes start, and the user's own settings first."""

import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows import home
from pipeline.settings import SettingsError
from tests.support import ROOT
from tests.support.project import make_project

CLIENT, SERVER = "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with prefect.toml, as the current one; an environment that says nothing of Prefect."""
    shutil.copy(ROOT / "prefect.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    monkeypatch.setattr(os, "environ", kept)
    return tmp_path


def test_processes_that_start_together_make_one_login(checkout: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from flows import home; print(home.login())"]

    def start(_: int) -> str:
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(start, range(4)))) == 1
    assert [path.name for path in (checkout / home.HOME).iterdir()] == ["profiles.toml"]


def test_home_and_login_are_the_checkouts_own(checkout: Path) -> None:
    home.settle()
    assert CLIENT not in os.environ  # nothing is made before something is started
    made = home.login()
    assert os.environ["PREFECT_HOME"] == str(checkout / ".run/prefect")
    assert os.environ[CLIENT] == os.environ[SERVER] == made
    home.PROFILES.chmod(0o644)
    for name in (CLIENT, SERVER, "PREFECT_HOME"):
        del os.environ[name]
    home.settle()  # the next process
    assert os.environ[CLIENT] == os.environ[SERVER] == made
    assert stat.S_IMODE(home.PROFILES.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", [CLIENT, SERVER])
def test_the_users_own_login_and_home_come_first(checkout: Path, name: str) -> None:
    (checkout / ".env").write_text(f"{name}=me:mine\nPREFECT_HOME={checkout}/elsewhere\n", encoding="utf-8")
    home.settle()
    home.login()
    assert os.environ[CLIENT] == os.environ[SERVER] == "me:mine"
    assert os.environ["PREFECT_HOME"] == f"{checkout}/elsewhere"


def test_a_folder_that_is_no_checkout_is_left_alone(checkout: Path) -> None:
    (checkout / "prefect.toml").unlink()
    home.settle()
    assert not [name for name in os.environ if name.startswith("PREFECT_") and "ANALYTICS" not in name]
    assert list(checkout.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "active = ", "[profiles.maple-pulse]\n", f'[profiles.maple-pulse]\n{CLIENT} = "x"\n']
)
def test_a_spoiled_login_is_named_with_the_way_out(checkout: Path, text: str) -> None:
    home.HOME.mkdir(parents=True)
    home.PROFILES.write_text(text, encoding="utf-8")
    for use in (home.settle, home.login):
        with pytest.raises(SettingsError, match=r"profiles\.toml has no login .*delete it"):
            use()


def test_the_address(checkout: Path) -> None:
    assert (home.address(), home.port()) == ("http://127.0.0.1:4200/api", 4200)
    os.environ["PREFECT_API_URL"] = "http://127.0.0.1:4300/api/"
    assert (home.address(), home.port()) == ("http://127.0.0.1:4300/api", 4300)
    for wrong in ("127.0.0.1:4200", "http://127.0.0.1:port/api", "http:///api"):
        os.environ["PREFECT_API_URL"] = wrong
        with pytest.raises(SettingsError, match="PREFECT_API_URL="):
            home.address()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_flow_by_hand_needs_no_server_unless_one_is_named(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", "flows", "prefect.yaml", "prefect.toml")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env = kept | {"HOME": str(tmp_path / "user"), "DATABASE_URL": f"sqlite:///{root}/live.db"}

    def learn(**variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flows.learn"]
        return subprocess.run(command, cwd=root, env=env | variables, capture_output=True, text=True, check=False)

    named = learn(PREFECT_API_URL="http://127.0.0.1:9/api")
    assert named.returncode == 1
    assert named.stderr == (
        "error: Prefect's server does not answer at http://127.0.0.1:9/api: start it with `python -m flows.server`, "
        "or set PREFECT_API_URL\n"
    )
    alone = learn()
    assert alone.returncode == 0, alone.stderr[-3000:]
    assert "0/1,000 posts, 0/100 corrections" in alone.stderr + alone.stdout
    assert (root / ".run/prefect/prefect.db").exists()
    assert not (tmp_path / "user/.prefect").exists()
