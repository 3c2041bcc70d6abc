"""The one place that says what our processes may not do: phone home, grab a GPU, spin, shout.

Every process of ours imports `pipeline` first, and whatever it starts inherits the variables. Commands
typed by hand read the same switches from `prefect.toml` and `.dvc/config`; a test holds them together.
"""

import os

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",  # must not be exactly "True"; Gradio reads it at import
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONUTF8": "1",  # DVC dies on Korean text under LC_ALL=C (measured)
    "PYTHONIOENCODING": "utf-8",
}

# The same bytes from the same inputs: oneDNN picks its kernels at run time and CUDA reduces in any
# order, so training runs on plain CPU kernels.
DETERMINISM = {
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_DETERMINISTIC_OPS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
}


def apply_environment() -> None:
    """Set every switch that the user has not set to something of their own. Telemetry is not asked."""
    os.environ.update(TELEMETRY_OFF)
    for name, value in {**QUIET, **DETERMINISM}.items():
        os.environ.setdefault(name, value)
