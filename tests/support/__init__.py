"""What the tests share: servers that stand in for others, a real project in a temporary folder, the root."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
