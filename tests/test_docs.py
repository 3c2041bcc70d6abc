"""The documents say what is there: commands are understood, files and params exist, both languages agree."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import ROOT
from tests.support.commands import documents, lines, without_blocks

ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")
ROOMS = ("app", "flows", "pipeline", "demo", "benchmarks", "tests", "docs", "data/gold", "data/dictionaries")
DOCUMENTS = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in documents()]


def blocks(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def spans(text: str) -> Iterator[str]:
    """What stands in backticks, outside of fenced blocks."""
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", without_blocks(text)))


# --- commands -------------------------------------------------------------------------------------------


def problems(commands: list[str]) -> dict[str, str]:
    """What is wrong with each line that is wrong, from a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.commands"],
        cwd=ROOT,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


PYTHON = "python -m"
WRONG = {
    "make everything": "no target 'everything'",
    "make test T=tests/test_nothing.py": "no such file",
    'make bench BENCH="loop --nothing"': "unrecognized arguments: --nothing",
    f"{PYTHON} pipeline.nothing": "no module",
    f"{PYTHON} pipeline.live": "does nothing",
    "python -m flows.crawl --backfill many": "invalid int value",
    "python -m flows.crawl --nothing": "unrecognized arguments",
    "python -m flows.crawl --backfil 200": "unrecognized arguments",
    "git checkout chunk-0007 && dvc pul": "dvc pul",
    "dvc repro --nothing": "dvc repro",
    "git chekcout main": "no command 'chekcout'",
    "git tag --nothing": "no --nothing",
    "prefect server strat": "strat",
    "prefect deploy --nothing": "--nothing",
    "honcho export cron units/": "invalid choice",
    "cp nothing.example .env": "no nothing.example",
    "rm -rf /": "no program that the documents may call",
}


def test_every_command_in_the_documents_is_understood() -> None:
    """A module's own parser, DVC's, Prefect's and honcho's take each line; make has the target, git the option."""
    found = [line for path in documents() for line in lines(path.read_text(encoding="utf-8"))]
    assert len(found) > 60
    wrong = problems([*dict.fromkeys(found), *WRONG])
    for line, words in WRONG.items():
        assert words in wrong.pop(line, ""), line
    assert wrong == {}


@pytest.mark.whole
def test_cheap_commands_do_what_the_pages_say(tmp_path: Path) -> None:
    """The lines of docs/operate.md that need no model, run in a scratch project as they stand."""
    from tests.support.project import make_project, run

    root = make_project(tmp_path / "project")
    run(root, sys.executable, "-m", "dvc", "remote", "remove", "store")
    page = (ROOT / "docs/operate.md").read_text(encoding="utf-8")
    wanted = ("dvc remote add", "git commit .dvc/config", "git tag --list")
    chosen = [line for line in lines(page) if line.startswith(wanted)]
    assert len(chosen) == len(wanted)
    for line in chosen:
        run(root, "sh", "-ec", line.replace("/path/or/s3://bucket", str(tmp_path / "store")))
    assert run(root, "git", "status", "--porcelain") == ""
    assert "store" in (root / ".dvc/config").read_text()


# --- files, links, params ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://")):
            name, _, anchor = target.partition("#")
            assert (path.parent / name).exists(), f"{path.name} links {target}"
            if anchor:
                linked = (path.parent / name).read_text(encoding="utf-8") if name else text
                titles = re.findall(r"^#+ (.*)", linked, re.MULTILINE)
                assert anchor in {re.sub(r"[^\w\- ]", "", t).lower().replace(" ", "-") for t in titles}, target


@pytest.mark.parametrize("path", DOCUMENTS)
def test_files_that_are_named_exist(path: Path) -> None:
    if path.name in ("CHANGELOG.md", "LOG.md"):
        pytest.skip("history may name what is gone")
    named = re.compile(rf"(?:{'|'.join(ROOMS)})/[\w./-]*\w")
    for span in spans(path.read_text(encoding="utf-8")):
        found = named.match(span)
        if found and "*" not in span:
            assert (ROOT / found[0]).exists(), f"{path.name} names {found[0]}"


@pytest.mark.parametrize("path", DOCUMENTS)
def test_params_that_are_named_exist(path: Path) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for span in spans(path.read_text(encoding="utf-8")):
        found = re.fullmatch(rf"({'|'.join(params)})\.([a-z_]+)(?:: .*)?", span)
        if found and found[2] not in ("py", "json"):
            assert found[2] in params[found[1]], f"{path.name} names {span}"


def test_the_picture_is_there_and_small() -> None:
    picture = (ROOT / "docs/page.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 300_000


def test_every_setting_is_in_the_example() -> None:
    source = (ROOT / "pipeline/settings.py").read_text(encoding="utf-8")
    names = set(re.findall(r'values\.get\("([A-Z_]+)"\)|number\("([A-Z_]+)"', source))
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name in sorted({a or b for a, b in names}):
        assert f"{name}=" in example, name


# --- the READMEs ------------------------------------------------------------------------------------------


def test_both_readmes_say_the_same_and_are_short() -> None:
    assert blocks(ENGLISH) == blocks(KOREAN)
    for pattern in (r"^(#+) ", r"\]\(([^)]+\.(?:md|png))\)", r"`([a-z_]+/[^`]*)`"):
        left, right = (re.findall(pattern, text, re.MULTILINE) for text in (ENGLISH, KOREAN))
        if pattern.startswith(r"^(#+)"):
            assert left == right
        else:  # word order differs
            assert sorted(set(left) - {"README.ko.md"}) == sorted(set(right) - {"README.md"})
    figures = re.compile(r"\d[\d,.]*\d")
    for left, right in zip(re.findall(r"^\|.*", ENGLISH, re.M), re.findall(r"^\|.*", KOREAN, re.M), strict=True):
        assert figures.findall(left) == figures.findall(right)
    for text in (ENGLISH, KOREAN):
        assert len(text.splitlines()) <= 110


def test_ci_runs_the_commands_of_the_makefile() -> None:
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert re.findall(r"^make (\w+)", ci, re.MULTILINE) == ["lint", "test"]


def made(*words: str) -> str:
    """What make says; as if no other make had started the tests."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "T")}
    command = ["make", "--no-print-directory", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def test_make_alone_prints_every_target() -> None:
    printed = made()
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.findall(r"^  make (\w+) +\S", printed, re.MULTILINE) == targets


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        ("test", r"-m pytest $"),
        ("test T=tests/pipeline/test_text.py", r"-m pytest -n0 tests/pipeline/test_text\.py$"),
        ("check", r"mypy(?s:.*)tables --check(?s:.*)tree --check(?s:.*)-m pytest -m "),
        ("fix", r"ruff format(?s:.*)benchmarks\.tables\n(?s:.*)tests\.support\.tree$"),
        ("bench BENCH=gate", r" benchmarks\.gate$"),
    ],
)
def test_make_runs(words: str, runs: str) -> None:
    told = made("-n", "-o", ".venv/installed", *words.split())
    assert re.search(runs, told, re.MULTILINE), told


def test_hooks_call_nothing_from_elsewhere() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith((".venv/bin/", "make "))


def test_the_lock_names_no_registry_and_hashes_everything() -> None:
    text = Path(ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "index-url" not in text
    pinned = re.findall(r"^[a-z0-9][\w.\-\[\],]*==", text, re.MULTILINE)
    assert len(pinned) > 200
    assert len(re.findall(r"^[^ #\n].*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(pinned)
