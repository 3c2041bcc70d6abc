"""What Prefect's API says of flow runs: which there were, which hung, which overlapped."""

from collections.abc import Container, Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx

STUCK = timedelta(minutes=10)


def flow_runs(api: str, login: tuple[str, str]) -> list[dict[str, Any]]:
    """Every flow run that has begun or should have, oldest first, each with the name of its `flow`.

    `login` is Prefect's user and password.
    """
    found: list[dict[str, Any]] = []
    with httpx.Client(base_url=api, auth=login, timeout=60, trust_env=False) as client:
        flows = {flow["id"]: flow["name"] for flow in client.post("/flows/filter", json={}).raise_for_status().json()}
        while True:
            due = {"expected_start_time": {"before_": datetime.now().astimezone().isoformat()}}
            body = {"limit": 200, "offset": len(found), "sort": "EXPECTED_START_TIME_ASC", "flow_runs": due}
            page = client.post("/flow_runs/filter", json=body).raise_for_status().json()
            found += page
            if len(page) < 200:
                return [run | {"flow": flows[run["flow_id"]]} for run in found]


def count(runs: Sequence[dict[str, Any]], state: str) -> int:
    """How many runs are in a state."""
    return sum(run["state_type"] == state for run in runs)


def times(run: dict[str, Any]) -> tuple[datetime, datetime]:
    """When a run began (or should have), and when it ended; now, if it has not."""
    start, end = (run[name] and datetime.fromisoformat(run[name]) for name in ("start_time", "end_time"))
    start = start or datetime.fromisoformat(run["expected_start_time"])
    return start, end or datetime.now(start.tzinfo)


def stuck(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs that took, have been taking, or have been waiting for their start longer than STUCK."""
    return [run for run in runs if times(run)[1] - times(run)[0] > STUCK]


def overlapping(runs: Sequence[dict[str, Any]], began: Container[str]) -> int:
    """Runs that began before an earlier one of the same flow had ended.

    Not those that were called off before they had a process (`began`: ids of the runs that had one), nor those that
    found another at work and left at once.
    """
    found = 0
    ends: dict[str, datetime] = {}
    for run in sorted(runs, key=times):
        if run["id"] not in began or "is at work" in str((run.get("state") or {}).get("message")):
            continue
        start, end = times(run)
        found += start < ends.get(run["flow"], start)
        ends[run["flow"]] = max(end, ends.get(run["flow"], end))
    return found
