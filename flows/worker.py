"""Wait for Prefect's server, see to the work pool and the deployments, then become the worker.

`python -m flows.worker`: the README's `prefect work-pool create`, `prefect deploy --all` and
`prefect worker start` in one command, for process managers.
"""

import argparse
import os
import subprocess
import sys
import time

from flows import home
from pipeline.errors import run
from pipeline.settings import SettingsError

POOL = "maple-pulse"
_SERVER_WAIT_S = 180.0


def main() -> None:
    """Never returns when all is well: the process turns into `prefect worker start`. Raises SettingsError."""
    argparse.ArgumentParser(prog="python -m flows.worker", description="Deploy the flows and run them.").parse_args()
    os.environ["PREFECT_API_URL"] = home.address()
    home.login()
    wait_for_server()
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    # Fails when the pool is there already, which is as good; whatever else is wrong, `deploy` says it.
    subprocess.run([*prefect, "work-pool", "create", POOL, "--type", "process"], capture_output=True, check=False)  # noqa: S603
    deployed = subprocess.run([*prefect, "deploy", "--all"], capture_output=True, text=True, check=False)  # noqa: S603
    if deployed.returncode:
        sys.exit(f"prefect deploy --all failed:\n{deployed.stdout}{deployed.stderr}")
    crawl_now()
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    os.execv(command[0], command)  # noqa: S606 - the process manager's signals go to the worker itself


def crawl_now() -> None:
    """Ask for one crawl at once, so that a start does not wait for the schedule. The schedule comes anyhow."""
    with home.client() as client:
        deployment = client.get("/deployments/name/crawl/continuous").raise_for_status().json()
        client.post(f"/deployments/{deployment['id']}/create_flow_run", json={}).raise_for_status()


def wait_for_server() -> None:
    """Return once the server answers our login. Raises SettingsError when it does not after three minutes."""
    deadline = time.monotonic() + _SERVER_WAIT_S
    while (found := home.status()) != 200:
        if found == 401 or time.monotonic() > deadline:
            raise SettingsError(home.problem(found))
        time.sleep(0.5)


if __name__ == "__main__":
    run(main)
