"""Tests of the benchmarks: their data and their tables."""
