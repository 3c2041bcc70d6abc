"""`dvc.lock`, for what DVC has no command for: look an output up, drop what left, enter what was never made."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

LOCK_FILE = Path("dvc.lock")
PIPELINE_FILE = Path("dvc.yaml")
_EMPTY_FILE, _EMPTY_FOLDER = "d41d8cd98f00b204e9800998ecf8427e", "d751713988987e9331980363e24189ce.dir"
EMPTY_OBJECTS = {_EMPTY_FILE: b"", _EMPTY_FOLDER: b"[]"}  # as DVC keeps them in its cache
_NEVER_RAN = "none yet"  # no stage's command, so `dvc repro` takes the stage for changed


def output_hash(lock: str, path: Path) -> str | None:
    """The MD5 that this `dvc.lock` records for an output file; None where it records none."""
    for stage in _stages(lock).values():
        for output in stage.get("outs", ()):
            if output.get("path") == path.as_posix():
                return str(output.get("md5"))
    return None


def prune(path: Path, pipeline: str, kept: Collection[str]) -> None:
    """Drop the entries of chunks and archives that are not in `kept` (`label@0007` …).

    DVC never removes them; the file would grow for ever (measured: 0.55 KiB a chunk). Those that stay get the command
    that dvc.yaml (`pipeline`) gives their stage today: it is never run, and another one counts as a change.
    """
    if not path.exists():
        return
    document = _document(path.read_text(encoding="utf-8"))
    declared = yaml.safe_load(pipeline)["stages"]
    pruned = {name: entry for name, entry in document["stages"].items() if "@" not in name or name in kept}
    for name, entry in pruned.items():
        stage, at, item = name.partition("@")
        if at and stage in declared:
            pruned[name] = {**entry, "cmd": declared[stage]["do"]["cmd"].replace("${item}", item)}
    if pruned != document["stages"]:
        _write(path, {**document, "stages": pruned})


def never_made(pipeline: str, lock: str) -> dict[str, dict[str, bool]]:
    """Stages without an entry in `dvc.lock`: each output's path, and whether the file there may be a person's own.

    Only stages of their own name; chunks and archives have one entry each as they are frozen.
    """
    there = _stages(lock)
    found = {}
    for name, stage in (yaml.safe_load(pipeline).get("stages") or {}).items():
        if "cmd" in stage and name not in there:
            outputs = [item if isinstance(item, dict) else {item: {}} for item in stage.get("outs", ())]
            paths = {path: bool((how or {}).get("persist")) for item in outputs for path, how in item.items()}
            found[name] = paths
    return found


def add_never_made(path: Path, stages: Mapping[str, Collection[str]]) -> None:
    """Enter stages that have never run, with outputs that are empty.

    Without an entry `dvc pull` ends with "failed to pull", although everything that was ever made is there.
    """
    document = _document(path.read_text(encoding="utf-8") if path.exists() else "")
    for name, outputs in stages.items():
        document["stages"][name] = {"cmd": _NEVER_RAN, "outs": [_empty(out) for out in outputs]}
    _write(path, document)


def has_run(lock: str, stage: str) -> bool:
    """Whether a stage's outputs were ever made."""
    entry = _stages(lock).get(stage)
    return entry is not None and entry.get("cmd") != _NEVER_RAN


def _empty(path: str) -> dict[str, Any]:
    if Path(path).suffix:
        return {"path": path, "hash": "md5", "md5": _EMPTY_FILE, "size": 0}
    return {"path": path, "hash": "md5", "md5": _EMPTY_FOLDER, "size": 0, "nfiles": 0}


def _document(lock: str) -> dict[str, Any]:
    document = dict(yaml.safe_load(lock) or {"schema": "2.0"})
    document["stages"] = dict(document.get("stages") or {})
    return document


def _stages(lock: str) -> dict[str, Any]:
    stages: dict[str, Any] = _document(lock)["stages"]
    return stages


def _write(path: Path, document: Mapping[str, Any]) -> None:
    from dvc.utils.serialize import dump_yaml  # the writer that DVC itself uses for this file

    dump_yaml(str(path), dict(document))
