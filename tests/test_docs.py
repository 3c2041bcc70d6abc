"""The README says what is there, and both languages say the same."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.support.project import ROOT

ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_both_readmes_give_the_same_commands() -> None:
    assert blocks(ENGLISH) == blocks(KOREAN)
    assert len(re.findall(r"^#+ ", ENGLISH, re.MULTILINE)) == len(re.findall(r"^#+ ", KOREAN, re.MULTILINE))
    figures = re.compile(r"\d[\d,.]*\d")
    for left, right in zip(re.findall(r"^\|.*", ENGLISH, re.M), re.findall(r"^\|.*", KOREAN, re.M), strict=True):
        assert figures.findall(left) == figures.findall(right)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(blocks(ENGLISH))))))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([a-z_.]+)", ENGLISH))))
def test_modules_that_are_called_exist(module: str) -> None:
    assert importlib.util.find_spec(module)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\]\(([^)#:]+)\)", ENGLISH + KOREAN))))
def test_linked_files_exist(name: str) -> None:
    assert (ROOT / name).exists()


def test_every_setting_is_in_the_example() -> None:
    source = (ROOT / "pipeline/settings.py").read_text(encoding="utf-8")
    names = set(re.findall(r'values\.get\("([A-Z_]+)"\)|number\("([A-Z_]+)"', source))
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name in sorted({a or b for a, b in names}):
        assert f"{name}=" in example, name


def test_ci_runs_the_command_of_the_readme() -> None:
    assert "make test" in (ROOT / ".ci/run").read_text()
    assert "make test" in ENGLISH


def test_the_lock_names_no_registry_and_hashes_everything() -> None:
    text = Path(ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "index-url" not in text
    pinned = re.findall(r"^[a-z0-9][\w.\-\[\],]*==", text, re.MULTILINE)
    assert len(pinned) > 200
    assert len(re.findall(r"^[^ #\n].*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(pinned)
