"""The page of Maple Pulse: dashboard, live analysis and feedback. Writes nothing but feedback rows.

Importing it imports `pipeline` first, which switches Gradio's telemetry off before Gradio is imported.
"""

import pipeline

__all__ = ["pipeline"]
