"""`make demo`: the whole loop on this machine in minutes, in a scratch clone that can be thrown away.

Clones the committed checkout into `.demo/` (own database, own Prefect home, own Git history and DVC remote),
makes the thresholds small, starts a replay of Inven's pages, the embedded LLM, Prefect, a worker and the page,
and says in plain words what happens. Ctrl-C stops all of it.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from honcho.manager import Manager

from pipeline import errors
from pipeline.errors import UserError
from pipeline.live.store import Store

REPOSITORY = Path(__file__).resolve().parent.parent
DEMO = REPOSITORY / ".demo"
RUN = DEMO / ".run"
POSTS_AT_START, POSTS_PER_MINUTE, DELETED = 130, 6, 3
# Small thresholds make the loop visible in minutes; a replay on this machine needs no second between requests.
SMALLER = {
    "params.yaml": {
        "size: 1000             # posts a chunk": "size: 120              # posts a chunk",
        "size: 100              # corrections": "size: 10               # corrections",
        "max_wait: 60  ": "max_wait: 0   ",
        "min_interval: 1.5 ": "min_interval: 0.05",
        "jitter: 0.5 ": "jitter: 0.05",
    },
    "prefect.yaml": {"interval: 600": "interval: 30", "interval: 300": "interval: 20"},
}


class DemoError(UserError):
    """The demo can't start. The message says what to do."""


def make_clone() -> None:
    """A fresh `.demo/`: the committed state with the demo's settings committed on top. Raises DemoError."""
    if DEMO.exists():
        if any(DEMO.iterdir()) and not (RUN / "made-by-demo").exists():
            raise DemoError(f"{DEMO} was not made by the demo: move it away, then run `make demo` again")
        shutil.rmtree(DEMO)
    try:
        run("git", "rev-parse", "HEAD", cwd=REPOSITORY)
    except subprocess.CalledProcessError:
        raise DemoError(f"{REPOSITORY} is no Git checkout with a commit: `git clone` it, then `make demo`") from None
    run("git", "clone", "--quiet", str(REPOSITORY), str(DEMO), cwd=REPOSITORY)
    RUN.mkdir(parents=True)
    (RUN / "made-by-demo").touch()
    for name, changes in SMALLER.items():
        path = DEMO / name
        text = path.read_text(encoding="utf-8")
        for before, after in changes.items():
            if before not in text:
                raise DemoError(f"{name} has no '{before}' any more: mend demo/run.py")
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8")
    if run("git", "branch", "--show-current", cwd=DEMO) == "":
        run("git", "switch", "--quiet", "-c", "demo", cwd=DEMO)
    run(
        sys.executable,
        "-m",
        "dvc",
        "remote",
        "add",
        "--quiet",
        "--force",
        "--default",
        "demo",
        str(RUN / "dvc-store"),
        cwd=DEMO,
    )
    run("git", "remote", "remove", "origin", cwd=DEMO)  # nothing of the demo is ever pushed into the user's checkout
    identity = ("-c", "user.name=Maple Pulse", "-c", "user.email=maple-pulse@localhost")
    run("git", *identity, "commit", "--quiet", "--all", "-m", "Make the demo's thresholds small", cwd=DEMO)


def run(*command: str, cwd: Path) -> str:
    """Standard output of a command; its own words and CalledProcessError when it fails."""
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def free_port(wanted: int = 0) -> int:
    """A free port; `wanted` itself when one is named. Raises DemoError when that one is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            raise DemoError(
                f"port {wanted} is in use: stop what listens there, or `make demo APP_PORT={wanted + 1}`"
            ) from None
        return int(probe.getsockname()[1])


def environment(ports: dict[str, int]) -> dict[str, str]:
    """What the demo's processes are told; also written to `.demo/.env` for commands typed by hand there."""
    settings = {
        "APP_PORT": str(ports["app"]),
        "DATABASE_URL": f"sqlite:///{DEMO}/data/live/maple.db",
        "INVEN_URL": f"http://127.0.0.1:{ports['replay']}",
        "LLM_ENDPOINTS": f"http://127.0.0.1:{ports['llm']}/v1",
        "PREFECT_API_URL": f"http://127.0.0.1:{ports['prefect']}/api",
        "PREFECT_HOME": str(RUN / "prefect"),
        "DVC_SITE_CACHE_DIR": str(RUN / "dvc-site"),
    }
    (DEMO / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    return (
        os.environ
        | settings
        | {
            "MAPLE_CACHE": os.environ.get("MAPLE_CACHE") or str(REPOSITORY / ".cache"),
            "PYTHONUNBUFFERED": "1",
            "GIT_CEILING_DIRECTORIES": str(DEMO.parent),
        }
    )


class LogFiles:
    """Honcho's printer for the demo: each process's lines go to `.demo/.run/NAME.log`, its end to the terminal."""

    width = 0

    def __init__(self) -> None:
        self._files: dict[str, Any] = {}
        self.stopping = False

    def write(self, message: Any) -> None:
        """Append one line of output to the log of the process that wrote it."""
        data = message.data if isinstance(message.data, str) else message.data.decode("utf-8", "replace")
        if message.name == "system":
            if " received" in data:  # Ctrl-C
                self.stopping = True
                say("Stopping …")
            elif " stopped " in data and not self.stopping:
                self.stopping = True
                name = data.split()[0]
                say(f"{name} ended; stopping everything. Its last words are in .demo/.run/{name}.log")
            return
        file = self._files.get(message.name)
        if file is None:
            file = self._files[message.name] = (RUN / f"{message.name}.log").open("a", encoding="utf-8")
        file.write(data if data.endswith("\n") else data + "\n")
        file.flush()


STARTED = time.monotonic()


def say(text: str) -> None:
    """One line with the time since the start."""
    elapsed = int(time.monotonic() - STARTED)
    print(f"[{elapsed // 60}:{elapsed % 60:02d}] {text}", flush=True)


def narrate(env: dict[str, str]) -> None:
    """Say what happens, once each, by looking at the parts from outside. Runs as a thread until the end."""
    seen: dict[str, Any] = {}

    def news(key: str, value: Any, words: str) -> None:
        if value and seen.get(key) != value:
            seen[key] = value
            say(words)

    page = f"http://127.0.0.1:{env['APP_PORT']}"
    api, llm = env["PREFECT_API_URL"], env["LLM_ENDPOINTS"].removesuffix("/v1")
    parts = {
        "replay": (f"{env['INVEN_URL']}/robots.txt", f"Replay of Inven's boards: {env['INVEN_URL']}"),
        "llm": (f"{llm}/health", "Embedded LLM (Gemma 3 270M) is loaded; it labels over HTTP"),
        "prefect": (f"{api}/health", f"Prefect: {api.removesuffix('/api')}"),
        "app": (f"{page}/healthz", f"Page: {page}"),
    }
    store: Store | None = None
    while True:
        for name, (url, words) in parts.items():
            if name not in seen and answers(url):
                news(name, True, words)
        if store is None and (DEMO / "data" / "live" / "maple.db").exists():
            store = Store(env["DATABASE_URL"])
        if store is not None:
            counts = store.summary()
            news("posts", counts["posts"], f"Collected {counts['posts']} posts from the replay")
            labelled = store.count_answers()
            news("labels", labelled // 40, f"Labelled {labelled} texts")
            news("feedback", counts["feedback"], f"{counts['feedback']} corrections from people")
        for line in run("git", "tag", "--list", "--format=%(refname:short) %(contents:subject)", cwd=DEMO).splitlines():
            tag, message = line.split(" ", 1)
            if tag not in seen:
                news(tag, True, f"Tagged {tag} ({message})")
                if tag.startswith("model-"):
                    say(f"Look at {page} (in Korean). Ten corrections there make the next model. Ctrl-C stops all.")
        time.sleep(1.0)


def answers(url: str) -> bool:
    """Whether a GET of this address is answered with 200."""
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def main() -> int:
    """Run until Ctrl-C or until a part ends."""
    argparse.ArgumentParser(prog="python -m demo.run", description=__doc__).parse_args()
    ports = {"app": free_port(int(os.environ.get("APP_PORT") or 7860))}
    ports |= {name: free_port() for name in ("replay", "llm", "prefect")}
    say("Making a scratch clone in .demo/ …")
    make_clone()
    env = environment(ports)
    if run("git", "status", "--porcelain", cwd=REPOSITORY):
        say("Note: uncommitted changes of this checkout are not in the demo")
    manager = Manager(LogFiles())
    for name, command in {
        "llm": f"python -m demo.llm --port {ports['llm']}",
        "replay": f"python -m demo.replay --posts demo/posts.jsonl --port {ports['replay']} "
        f"--initial {POSTS_AT_START} --per-minute {POSTS_PER_MINUTE} --deleted {DELETED}",
        "prefect": "python -m flows.server",
        "worker": "python -m flows.worker",
        "app": "python -m app.server",
    }.items():
        manager.add_process(name, f"exec {command}", env=env, cwd=str(DEMO))
    say("Starting the replay, the LLM, Prefect, a worker and the page (logs in .demo/.run/) …")
    threading.Thread(target=narrate, args=(env,), daemon=True).start()
    manager.loop()
    say("Everything is stopped. .demo/ stays for you to look at; the next `make demo` starts afresh")
    return 0 if manager.returncode in {None, 0, 130} else 1


if __name__ == "__main__":
    errors.run(main)
