"""The one place that says what our processes may not do: phone home, grab a GPU, shout, reach themselves by proxy.

Every process of ours imports `pipeline` first, and whatever it starts inherits the variables. Commands
typed by hand read the same switches from `prefect.toml` and `.dvc/config`; a test holds them together.
"""

import ipaddress
import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",  # must not be exactly "True"; Gradio reads it at import
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONUTF8": "1",  # DVC dies on Korean text under LC_ALL=C (measured)
    "PYTHONIOENCODING": "utf-8",
}

# The same bytes from the same inputs: oneDNN picks its kernels at run time and CUDA reduces in any
# order, so training runs on plain CPU kernels.
DETERMINISM = {
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_DETERMINISTIC_OPS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
}


_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def apply_environment() -> None:
    """Set every switch that the user has not set to something of their own. Telemetry is not asked."""
    os.environ.update(TELEMETRY_OFF)
    for name, value in {**QUIET, **DETERMINISM}.items():
        if not os.environ.get(name):  # an empty variable is one that is not set, here as everywhere
            os.environ[name] = value
    os.environ["PATH"] = with_this_python(os.environ.get("PATH", ""))
    os.environ.update(spared_from_proxies(os.environ))


def with_this_python(path: str) -> str:
    """A PATH on which `python` and `dvc` are the running Python's, whether or not its environment is activated."""
    folder = str(Path(sys.executable).parent)
    return os.pathsep.join([folder, *(part for part in path.split(os.pathsep) if part not in ("", folder))])


# --- proxies --------------------------------------------------------------------------------------


def is_this_machine(url: str) -> bool:
    """Whether an address (http://…) is this machine's own: loopback, or its own name. No name is looked up."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost") or host == socket.gethostname().lower():
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def spared_from_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """NO_PROXY and no_proxy with this machine in them, where a proxy is set; else nothing.

    Entries that httpx dies of are written as it reads them: [::1] as ::1. IPv6 networks are left out, because no
    library here compares with them.
    """
    if not _proxies(environ):
        return {}
    # The lower-case name wins, as in urllib and curl.
    said = (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(",")
    entries = [*(_readable(entry.strip()) for entry in said), *_THIS_MACHINE, socket.gethostname().lower()]
    value = ",".join(dict.fromkeys(entry for entry in entries if entry))
    return {"NO_PROXY": value, "no_proxy": value}


def proxy_problem() -> str:
    """One sentence naming the proxy variable that no HTTP client can use, "" when there is none."""
    if not (given := _proxies(os.environ)):
        return ""
    import httpx  # only here: it takes a while, and most machines have no proxy

    for name, value in sorted(given.items()):
        try:
            url = httpx.URL(value if "://" in value else f"http://{value}")
            if not url.host or not 0 <= (url.port or 0) < 65536:
                raise ValueError("it names no host, or no port from 1 to 65535")
            httpx.HTTPTransport(proxy=httpx.Proxy(url)).close()
        except (httpx.InvalidURL, ValueError, ImportError) as error:
            shown = re.sub("//.*@", "//", value)  # never its password
            return (
                f"{name}={shown!r} is no proxy that can be used ({error}): set it to http://HOST:PORT or "
                "socks5://HOST:PORT, an IPv6 address in brackets, or unset it"
            )
    try:
        httpx.Client().close()
    except (httpx.InvalidURL, ValueError) as error:
        said = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        return f"NO_PROXY={said!r} can't be used ({error}): set it to host names and addresses, with commas"
    return ""


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if value and name.lower() in _PROXY_VARIABLES}


def _readable(entry: str) -> str:
    """An entry of NO_PROXY as httpx takes it; "" for what it dies of."""
    if entry.count(":") < 2 or "://" in entry:
        return entry
    address = entry[1:].partition("]")[0] if entry.startswith("[") else entry
    try:
        return str(ipaddress.ip_address(address)) if "/" not in entry else ""
    except ValueError:
        return entry
