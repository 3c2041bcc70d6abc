"""Orchestration with Prefect: when things run, what an operator sees. No rule of the domain lives here."""

import pipeline  # noqa: F401 - switches telemetry off before Prefect is imported
