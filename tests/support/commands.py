"""Command lines of the documents, parsed by the programs that they call, without running them.

    echo '["make test", "dvc plots show"]' | python -m tests.support.commands

prints what is wrong with each line that is wrong, as JSON. A process of its own: it imports what the lines call.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from tests.support import ROOT

# Programs that are not of this project; their lines are for the reader to judge.
OTHERS = ("apt-get", "pip", "pre-commit", "uv", "curl", "sudo", "systemctl")
_SETTING = re.compile(r"[A-Z][A-Z0-9_]*=\S*")
_INLINE = re.compile(r"(?:[A-Z_]+=\S+ )*(?:python -m|make|git|dvc|prefect|honcho|cp) \S")
_NAME = re.compile(r"python -m \S+")
_SEPARATORS = {"&&", "||", ";", "|", "&"}


class Wrong(Exception):
    """A line that does not do what it says."""


class _Parsed(Exception):
    """An argument parser was content."""


def documents() -> list[Path]:
    """Every document of the project."""
    return [path for folder in (".", "docs", "benchmarks", "models") for path in sorted((ROOT / folder).glob("*.md"))]


def lines(text: str) -> list[str]:
    """The shell lines of a document: of its fenced blocks, and those in backticks that begin with a known program.

    `python -m MODULE` alone in backticks names a command (tests/test_commands.py looks for it), it doesn't call one.
    """
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    fenced = [line for block in blocks for line in block.splitlines()]
    inline = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", without_blocks(text))]
    inline = [span for span in inline if _INLINE.match(span) and not _NAME.fullmatch(span)]
    return [line for line in (*fenced, *inline) if line.strip() and not line.startswith("#")]


def without_blocks(text: str) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def commands(line: str) -> Iterator[list[str]]:
    """The words of each command in a line, without settings before it and comments after it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word in _SEPARATORS:
            found.append([])
        else:
            found[-1].append(word)
    for words in found:
        while words and _SETTING.fullmatch(words[0]):
            words.pop(0)
        if words:
            yield words


def check(line: str) -> None:
    """Raise Wrong when a command in the line would not be understood."""
    for program, *arguments in commands(line):
        if program in OTHERS:
            continue
        checks: dict[str, Callable[[list[str]], None]] = {
            "python": python,
            "make": make,
            "git": git,
            "dvc": dvc,
            "prefect": prefect,
            "honcho": honcho,
            ".": lambda words: None if words == [".venv/bin/activate"] else _wrong(f"no {words}"),
            "cp": lambda words: None if (ROOT / words[0]).exists() else _wrong(f"no {words[0]}"),
        }
        if program not in checks:
            raise Wrong(f"'{program}' is no program that the documents may call: see tests/support/commands.py")
        checks[program](arguments)


def _wrong(words: str) -> None:
    raise Wrong(words)


def python(arguments: list[str]) -> None:
    """`python -m MODULE …`: the module's own parser takes the arguments."""
    if arguments[:1] != ["-m"] or len(arguments) < 2:
        raise Wrong(f"python {' '.join(arguments)}: call modules, `python -m MODULE`")
    module, given = arguments[1], arguments[2:]
    if module in ("prefect", "dvc", "pip"):
        return check(shlex.join([module, *given]))
    if "ArgumentParser" not in source_of(module):  # run, it would do what it does
        raise Wrong(f"python -m {module} has no argument parser")
    return _parse(lambda: runpy.run_module(module, run_name="__main__"), [module, *given])


def source_of(module: str) -> str:
    """The source of what `python -m module` runs. Raises Wrong when there is none that can be run."""
    try:
        spec = importlib.util.find_spec(f"{module}.__main__") or importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = importlib.util.find_spec(module) if "." not in module or _has_parent(module) else None
    if spec is None or not spec.origin:
        raise Wrong(f"there is no module {module}")
    source = Path(spec.origin).read_text(encoding="utf-8")
    if "__main__" not in source:
        raise Wrong(f"python -m {module} does nothing")
    return source


def _has_parent(module: str) -> bool:
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.util.find_spec(module.rpartition(".")[0]) is not None
    return False


def _parse(run: Callable[[], Any], argv: list[str]) -> None:
    """Run a main until its parser has taken the arguments, not abbreviated. Raises Wrong with the parser's words."""
    parse_args, parse_known_args = argparse.ArgumentParser.parse_args, argparse.ArgumentParser.parse_known_args

    def in_full(parser: argparse.ArgumentParser, *given: Any, **more: Any) -> Any:
        parser.allow_abbrev = False
        return parse_known_args(parser, *given, **more)

    def then_stop(parser: argparse.ArgumentParser, *given: Any, **more: Any) -> Any:
        parse_args(parser, *given, **more)
        raise _Parsed

    said = io.StringIO()
    with (
        mock.patch.object(argparse.ArgumentParser, "parse_known_args", in_full),
        mock.patch.object(argparse.ArgumentParser, "parse_args", then_stop),
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(said),
    ):
        try:
            run()
        except _Parsed:
            return
        except SystemExit as end:
            if not end.code:  # --help
                return
            raise Wrong(said.getvalue().strip().rpartition("\n")[2] or str(end.code)) from None
    raise Wrong(f"{' '.join(argv)}: its arguments were never parsed")


def make(arguments: list[str]) -> None:
    """Targets exist; `T=` names a file, `BENCH=` a benchmark and its arguments."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in arguments:
        name, _, value = word.partition("=")
        if name == "T":
            if value != "…" and not (ROOT / value).exists():
                raise Wrong(f"make test {word}: there is no such file")
        elif name == "BENCH":
            module, *more = shlex.split(value)
            python(["-m", f"benchmarks.{module}", *more])
        elif not value and not re.search(rf"^{name}:", text, re.MULTILINE):
            raise Wrong(f"the Makefile has no target '{name}'")


def git(arguments: list[str]) -> None:
    """git knows the command and its options."""
    command, *given = arguments
    told = subprocess.run(["git", command, "-h"], cwd=ROOT, capture_output=True, text=True, check=False)
    usage = (told.stdout + told.stderr).replace("[no-]", "")
    if "usage" not in usage:
        raise Wrong(f"git has no command '{command}'")
    for word in given:
        option = word.partition("=")[0]
        if option.startswith("-") and not re.search(
            rf"(?<![\w-]){re.escape(option)}(?![\w-])", usage.replace("[no-]", "")
        ):
            raise Wrong(f"git {command} has no {option}")


def dvc(arguments: list[str]) -> None:
    """DVC's own parser takes the line."""
    from dvc.cli import DvcParserError, parse_args

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parse_args(arguments)
    except (DvcParserError, SystemExit) as error:
        raise Wrong(f"dvc {' '.join(arguments)}: {error}") from None


def prefect(arguments: list[str]) -> None:
    """Prefect's own parser takes the line."""
    from prefect.cli._app import _app

    own = [word for word in arguments if word not in ("--no-prompt", "--prompt")]
    try:
        _app.parse_args(own, exit_on_error=False, print_error=False)
    except Exception as error:  # cyclopts has a class for each kind
        raise Wrong(f"prefect {' '.join(own)}: {error}") from None


def honcho(arguments: list[str]) -> None:
    """honcho's own parser takes the line."""
    from honcho.command import main

    _parse(main, ["honcho", *arguments])


def main() -> None:
    """Read a JSON list of lines, print {line: problem}."""
    problems = {}
    for line in json.load(sys.stdin):
        try:
            check(line)
        except Wrong as wrong:
            problems[line] = str(wrong)
    json.dump(problems, sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main()
