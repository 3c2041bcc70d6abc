"""The embedded LLM server: it starts, answers, and never outlives the process that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from demo.llm import MODEL_ALIAS, REPOSITORY, SLOTS, DemoModelError, model_file, running_llm
from pipeline.label.prompt import load_prompt
from tests.support.llm_server import llm_url  # noqa: F401


def test_it_is_the_model_it_says(llm_url: str) -> None:  # noqa: F811
    listed = httpx.get(f"{llm_url}/models").json()["data"]
    assert [model["id"] for model in listed] == [MODEL_ALIAS]
    assert httpx.get(f"{llm_url.removesuffix('/v1')}/props").json()["total_slots"] == SLOTS
    assert model_file().stat().st_size == 253_113_024


def test_it_listens_on_this_machine_only(llm_url: str) -> None:  # noqa: F811
    assert llm_url.startswith("http://127.0.0.1:")


def test_the_template_turns_the_chat_into_a_plain_transcript(llm_url: str) -> None:  # noqa: F811
    messages = load_prompt("mood-1").messages("검사\n둘째 줄")
    answer = httpx.post(f"{llm_url.removesuffix('/v1')}/apply-template", json={"messages": messages})
    transcript = answer.json()["prompt"].removeprefix("<bos>")
    assert transcript.startswith("글: 이 반지 시세 얼마쯤 하나요\n")
    assert transcript.endswith("\n기분: 나쁨\n\n글: 검사\n둘째 줄\n기분:")
    assert transcript.count("글: ") == transcript.count("기분:") == 10
    assert "[글]" not in transcript


def test_a_taken_port_is_said(llm_url: str) -> None:  # noqa: F811
    port = int(llm_url.removesuffix("/v1").rsplit(":", 1)[1])
    with pytest.raises(DemoModelError, match=f"is port {port} taken"), running_llm(port):
        pass


def _alive(pid: int) -> bool:
    """Whether the process runs (a zombie that nobody has waited for does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
def test_it_dies_with_a_killed_parent() -> None:
    code = (
        "import subprocess, time\n"
        "from demo.llm import running_llm\n"
        "with running_llm() as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        server = int(children[0])
        assert httpx.get(f"{url}/models").status_code == 200
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 10
        while _alive(server) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _alive(server)
    finally:
        parent.kill()
        parent.wait()
        if parent.stdout:
            parent.stdout.close()


def test_the_cache_directory_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAPLE_CACHE", os.fspath(tmp_path / "elsewhere"))
    path = model_file()
    assert path.parent == tmp_path / "elsewhere"
    before = path.stat().st_mtime_ns
    assert model_file().stat().st_mtime_ns == before, "assembled again"
