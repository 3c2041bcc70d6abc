"""Maple Pulse's pipeline: everything that knows about Inven, labels, training and releases.

Nothing in this package imports Prefect or Gradio; `flows/` and `app/` stand on top of it. Importing it
switches off every part's telemetry before that part is imported (see `pipeline.environment`).
"""

from pipeline.environment import apply_environment

apply_environment()
