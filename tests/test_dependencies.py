"""What is imported is declared in pyproject.toml, and what is declared is used."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from tests.support import ROOT

OURS = ("pipeline", "app", "flows", "demo", "benchmarks", "tests")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
# Whose imports are to be found among which declarations. `benchmarks` and `tests` have every extra at hand.
DECLARED_FOR = {
    "pipeline": (),
    "app": (),
    "flows": (),
    "demo": ("demo",),
    "benchmarks": tuple(EXTRAS),
    "tests": tuple(EXTRAS),
}
# Declared and imported nowhere: what each is for.
USED_OTHERWISE = {
    "ruamel-yaml-clib": "the C parser of the YAML library that DVC imports",
    "psycopg": "SQLAlchemy's driver for DATABASE_URL=postgresql+psycopg://…",
    "pytest-timeout": "plug-in of pytest",
    "pytest-xdist": "plug-in of pytest",
    "ruff": "make lint",
    "mypy": "make lint",
    "types-pyyaml": "mypy reads it",
}


def canonical(name: str) -> str:
    """A distribution's name as PyPI compares it; without version and extras."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~\[;]", name, maxsplit=1)[0]).lower()


def declared(*extras: str) -> set[str]:
    lists = [PROJECT["dependencies"], *(EXTRAS[extra] for extra in extras)]
    return {canonical(name) for names in lists for name in names}


def modules_of(tree: ast.Module) -> set[str]:
    """Top-level modules that a file imports, also by `importorskip` or `find_spec`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("importorskip", "import_module")):
            found |= {str(part.value) for part in node.args[:1] if isinstance(part, ast.Constant)}
    return {name.split(".")[0] for name in found} - set(sys.stdlib_module_names) - set(OURS)


@cache
def imported(package: str) -> dict[str, str]:
    """Distributions that a package of ours imports, each with a file that does."""
    known = packages_distributions()
    found: dict[str, str] = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        modules = modules_of(ast.parse(source))
        if "find_spec(" in source:  # named in a constant: the font's package, which is data
            modules |= set(re.findall(r'^_FONT_PACKAGE.*?"(\w+)"', source, re.MULTILINE))
        for module in modules:
            names = {canonical(name) for name in known.get(module, [module])}
            for name in names & declared(*EXTRAS) or names:  # a module may stand in several: one of them is meant
                found.setdefault(name, str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize("package", OURS)
def test_what_is_imported_is_declared(package: str) -> None:
    there = declared(*DECLARED_FOR[package])
    missing = {name: path for name, path in imported(package).items() if name not in there}
    assert not missing, f"pyproject.toml does not declare {missing}"


def test_what_is_declared_is_used() -> None:
    used = set().union(*(imported(package) for package in OURS))
    unused = declared(*EXTRAS) - used - set(USED_OTHERWISE)
    assert not unused
    assert set(USED_OTHERWISE) <= declared(*EXTRAS)
    assert not set(USED_OTHERWISE) & (used - {"psycopg"})


def test_what_the_product_needs_is_not_only_in_an_extra() -> None:
    """What only tests and benchmarks import is theirs; everything else is installed without extras."""
    product = set().union(*(imported(package) for package in ("pipeline", "app", "flows")))
    demo = set(imported("demo"))
    assert declared() - product - demo - set(USED_OTHERWISE) == set()


def test_the_lock_holds_what_is_declared() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {canonical(name) for name in re.findall(r"^([A-Za-z0-9][\w.\-]*)(?:\[[^\]]*\])?==", lock, re.MULTILINE)}
    assert declared(*EXTRAS) <= locked, f"`make lock`: {declared(*EXTRAS) - locked} is not in requirements.lock"
