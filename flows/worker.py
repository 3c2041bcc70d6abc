"""Wait for Prefect's server, see to the work pool and the deployments, then become the worker.

`python -m flows.worker`: the README's `prefect work-pool create`, `prefect deploy --all` and
`prefect worker start` in one command, for process managers.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
from dotenv import load_dotenv

POOL = "maple-pulse"
_SERVER_WAIT_S = 180.0


def main() -> None:
    """Never returns when all is well: the process turns into `prefect worker start`."""
    load_dotenv()
    api = os.environ.get("PREFECT_API_URL") or "http://127.0.0.1:4200/api"
    os.environ["PREFECT_API_URL"] = api
    wait_for_server(api)
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    # Fails when the pool is there already, which is as good; whatever else is wrong, `deploy` says it.
    subprocess.run([*prefect, "work-pool", "create", POOL, "--type", "process"], capture_output=True, check=False)  # noqa: S603
    deployed = subprocess.run([*prefect, "deploy", "--all"], capture_output=True, text=True, check=False)  # noqa: S603
    if deployed.returncode:
        sys.exit(f"prefect deploy --all failed:\n{deployed.stdout}{deployed.stderr}")
    crawl_now(api)
    # `python` and `dvc` of stage commands are the ones of our environment, activated or not.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    os.execv(command[0], command)  # noqa: S606 - the process manager's signals go to the worker itself


def crawl_now(api: str) -> None:
    """Ask for one crawl at once, so that a start does not wait for the schedule. The schedule comes anyhow."""
    with httpx.Client(base_url=api, timeout=30, trust_env=False) as client:
        deployment = client.get("/deployments/name/crawl/continuous").raise_for_status().json()
        client.post(f"/deployments/{deployment['id']}/create_flow_run", json={}).raise_for_status()


def wait_for_server(api: str) -> None:
    """Return once the server is healthy; exit with a message when it is not after three minutes."""
    deadline = time.monotonic() + _SERVER_WAIT_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{api}/health", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    sys.exit(f"Prefect's server does not answer at {api}: start it with `prefect server start`, or set PREFECT_API_URL")


if __name__ == "__main__":
    main()
