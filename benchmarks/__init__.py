"""Benchmarks: one module for each question. `make bench BENCH=loop` runs one (see benchmarks/README.md)."""

import pipeline  # noqa: F401 - switches telemetry off first
