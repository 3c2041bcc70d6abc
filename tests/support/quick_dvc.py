"""A repository on real Git whose DVC commands are done here in milliseconds: what they write, and nothing else.

Outputs go to DVC's cache by their MD5 and into `dvc.lock`, as DVC does it; `repro` stands for a training that notes
what it learned from. Where DVC itself matters, tests use the real one (`tests.support.project`).
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from pipeline.files import write_json, write_text
from pipeline.freeze.catalog import read_catalog
from pipeline.freeze.repository import Repository, RepositoryError
from pipeline.layout import BASE_FILE, CATALOG_FILE, DECISION_FILE, PRODUCTION
from pipeline.learn.prepare import check_listed
from tests.support import ROOT
from tests.support.project import run

_FILES = ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", "data/catalog.yaml")


def quick_project(root: Path, **params: dict[str, Any]) -> Path:
    """A project with nothing in it but what Git and DVC hold of it, committed on branch main."""
    for name in _FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    numbers = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    for section, changes in params.items():
        numbers[section] |= changes
    (root / "params.yaml").write_text(yaml.safe_dump(numbers), encoding="utf-8")
    (root / ".dvc").mkdir()
    (root / ".dvc/config").touch()
    (root / ".dvc/.gitignore").write_text("/cache\n/tmp\n")
    run(root, "git", "init", "--quiet", "--initial-branch", "main")
    run(root, "git", "add", "--all")
    run(root, "git", "commit", "--quiet", "--message", "Begin")
    return root


class QuickRepository(Repository):
    """`Repository` with a stand-in for DVC. `calls`: its commands; `trained`: what each version learned from.

    `has_models`: whether DVC's cache has models; `remote`: the name of a remote that has them.
    """

    def __init__(self, root: Path, *, has_models: bool = True, remote: str = "") -> None:
        super().__init__(root)
        self.has_models, self.remote = has_models, remote
        self.calls: list[tuple[str, ...]] = []
        self.trained: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}

    def dvc(self, *arguments: str) -> str:
        """One of the commands that the flow uses."""
        self.calls.append(arguments)
        command, words = arguments[0], [word for word in arguments[1:] if not word.startswith("--")]
        if command == "cache":
            return str(self.root / ".dvc/cache")
        if command == "commit":
            for stage in words:
                self._enter(stage, self._outputs(stage))
        elif command == "repro":
            if not (self.root / BASE_FILE).exists():
                write_text(self.root / BASE_FILE, "text,label\n글,1\n")
            self._enter("base", [BASE_FILE])
            if words != ["base"]:
                self._train()
        elif command == "remote":
            return self.remote
        elif command == "checkout" and not self.has_models:
            raise RepositoryError("missing from the cache")
        elif command in ("checkout", "pull"):
            self._checkout(Path(words[0]))
        elif command == "get":
            raise RepositoryError("there is no remote")
        return ""

    def _outputs(self, stage: str) -> list[Path]:
        name, _, item = stage.partition("@")
        found = yaml.safe_load((self.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"][name]
        outputs = found.get("do", found)["outs"]
        paths = [next(iter(output)) if isinstance(output, dict) else output for output in outputs]
        if item:
            listed = read_catalog(self.root / CATALOG_FILE)
            assert item in (listed.archives if name == "archive" else listed.chunks), f"{stage} is no stage"
        return [Path(path.replace("${item}", item)) for path in paths]

    def _enter(self, stage: str, outputs: list[Path]) -> None:
        entries = []
        for path in outputs:
            content = (self.root / path).read_bytes()
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            kept = self.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(content)
            entries.append({"path": path.as_posix(), "hash": "md5", "md5": md5, "size": len(content)})
        self._lock({stage: {"cmd": f"made {stage}", "outs": entries}})

    def _lock(self, entries: dict[str, Any]) -> None:
        path = self.root / "dvc.lock"
        document = (
            yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {"schema": "2.0", "stages": {}}
        )
        document["stages"] |= entries
        path.write_text(yaml.safe_dump(document), encoding="utf-8")

    def _train(self) -> None:
        catalog = read_catalog(self.root / CATALOG_FILE)
        check_listed(catalog, self.root)
        self.trained[catalog.version] = (catalog.chunks, catalog.archives)
        self._serve(catalog.version)
        write_json(
            self.root / DECISION_FILE,
            {"challenger": catalog.version, "champion": catalog.champion, "verdict": "promoted", "reasons": ["a test"]},
        )
        self._lock({"promote": {"cmd": "made promote", "outs": [{"path": str(PRODUCTION), "md5": catalog.version}]}})

    def _checkout(self, path: Path) -> None:
        assert path == PRODUCTION
        version = self.recorded("HEAD", PRODUCTION)
        if version is None:
            raise RepositoryError("missing from the cache")
        self._serve(version)

    def _serve(self, version: str) -> None:
        write_json(
            self.root / PRODUCTION / "metadata.json", {"version": version, "model_sha256": "", "temperature": 1.0}
        )

    def served(self) -> str:
        """The version in production."""
        return str(json.loads((self.root / PRODUCTION / "metadata.json").read_text(encoding="utf-8"))["version"])
