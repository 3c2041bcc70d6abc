"""A scratch clone of the project with a replay of Inven and an LLM, for benchmarks of the whole loop."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.support.harness import ROOT
from demo.llm import running_llm
from demo.run import free_port
from pipeline.freeze.repository import Repository


def scratch_clone(place: Path) -> Path:
    """A clone of the committed checkout with a DVC remote of its own."""
    root = place / "project"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root)], check=True)
    if not subprocess.run(
        ["git", "branch", "--show-current"], cwd=root, capture_output=True, check=True
    ).stdout.strip():
        subprocess.run(["git", "switch", "--quiet", "--create", "bench"], cwd=root, check=True)
    Repository(root).dvc("remote", "add", "--local", "--default", "store", str(place / "dvc-store"))
    return root


@contextmanager
def replay(posts: Path, text_column: str | None, options: Sequence[str] = ()) -> Iterator[str]:
    """The replay of Inven serving these posts, as a process of its own; `options` are its own."""
    port = free_port()
    command = [sys.executable, "-m", "demo.replay", "--posts", str(posts), "--port", str(port)]
    process = subprocess.Popen([*command, *(["--text-column", text_column] if text_column else []), *options], cwd=ROOT)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                httpx.get(f"{url}/robots.txt", trust_env=False, timeout=5)
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def llm(url: str | None) -> Iterator[str]:
    """The LLM server that was named, or the embedded one for as long as it is needed."""
    if url:
        yield url
    else:
        with running_llm() as own:
            yield own
