"""What our processes may not do: the switches are set, and the files that say the same agree with them."""

import configparser
import json
import os
import subprocess
import sys
import tomllib

from pipeline.environment import DETERMINISM, QUIET, TELEMETRY_OFF
from tests.support import ROOT


def environment_of_a_child(**variables: str) -> dict[str, str]:
    """The environment after `import pipeline` in a process that starts with these variables."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT")}
    code = "import json, os, pipeline; print(json.dumps(dict(os.environ)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=kept | variables, capture_output=True, check=True)
    result: dict[str, str] = json.loads(done.stdout)
    return result


def test_importing_the_pipeline_sets_every_switch() -> None:
    found = environment_of_a_child()
    assert {name: found.get(name) for name in TELEMETRY_OFF} == TELEMETRY_OFF
    wanted = QUIET | DETERMINISM
    assert {name: found.get(name) for name in wanted} == wanted
    assert found["DO_NOT_TRACK"] == found["DVC_NO_ANALYTICS"] == found["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert found["PYTHONUTF8"] == "1"
    # Or the same inputs give other bytes on another day.
    assert (found["TF_ENABLE_ONEDNN_OPTS"], found["CUDA_VISIBLE_DEVICES"]) == ("0", "-1")


def test_telemetry_is_not_asked_but_the_rest_is() -> None:
    found = environment_of_a_child(
        GRADIO_ANALYTICS_ENABLED="True", PREFECT_SERVER_ANALYTICS_ENABLED="true", TF_CPP_MIN_LOG_LEVEL="0"
    )
    assert found["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert found["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert found["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_importing_the_pipeline_loads_neither_prefect_nor_gradio() -> None:
    code = (
        "import sys, pkgutil, importlib, pipeline\n"
        "for found in pkgutil.walk_packages(pipeline.__path__, 'pipeline.'):\n"
        "    if not found.name.endswith(('fused', '__main__')) and '.migrations.' not in found.name:\n"
        "        importlib.import_module(found.name)\n"
        "print([name for name in ('prefect', 'gradio', 'tensorflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_prefects_file_agrees() -> None:
    document = tomllib.loads((ROOT / "prefect.toml").read_text(encoding="utf-8"))
    assert document["server"]["analytics_enabled"] is False
    assert TELEMETRY_OFF["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert TELEMETRY_OFF["DO_NOT_TRACK"] == "1"


def test_dvcs_file_agrees() -> None:
    config = configparser.ConfigParser()
    config.read_string(
        "\n".join(line.strip() for line in (ROOT / ".dvc" / "config").read_text(encoding="utf-8").splitlines())
    )
    assert config.getboolean("core", "analytics") is False
    assert config.getboolean("core", "check_update") is False
    assert config.getboolean("core", "autostage") is False  # DVC would stage files that are a user's
    assert TELEMETRY_OFF["DVC_NO_ANALYTICS"] == "1"
