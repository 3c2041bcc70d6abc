"""Orchestration with Prefect: when things run, what an operator sees. No rule of the domain lives here."""

import sys

import pipeline  # noqa: F401 - switches telemetry off before Prefect is imported
from flows import home
from pipeline.settings import SettingsError

try:
    home.settle()  # before Prefect is imported, too: it reads its settings then
except SettingsError as error:
    sys.exit(f"error: {error}")
