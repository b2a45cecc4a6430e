"""Where we run: in a pod or not, as whom, on which host, with what installed. The defaults that depend on it.

The environment is an argument; only `config.py` reads it. Each default comes with the words that say whence it is.
"""

import contextlib
import importlib.util
import os
import platform
import pwd
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

from peatd.cgroup import memory_limit
from peatd.errors import ConfigError
from peatd.memory import LEAST_BYTES, MOST_BYTES
from peatd.names import Address, NodeId
from peatd.settings.sources import BUILT_IN, parse
from peatd.settings.table import API_PORT
from peatd.settings.values import parse_node_id

_POD_DATA_DIR = Path("/data")
_IN_CLUSTER = f"{BUILT_IN} in a cluster"
_MODULES = {"y-py": "y_py", "pycrdt": "pycrdt"}


def is_pod(environ: Mapping[str, str], service_account_dir: Path) -> bool:
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) or is_there(service_account_dir)


def is_there(path: Path) -> bool:
    """What we may not look at is not there for us."""
    try:
        return path.exists()
    except OSError:
        return False


def host_name() -> tuple[NodeId, str]:
    origin = "the host's name"
    return parse(parse_node_id, platform.node(), origin), origin


def api(*, in_cluster: bool) -> tuple[Address, str]:
    if in_cluster:
        return Address("0.0.0.0", API_PORT), _IN_CLUSTER
    return Address("127.0.0.1", API_PORT), BUILT_IN


def data_dir(environ: Mapping[str, str], *, in_cluster: bool) -> tuple[Path, str]:
    """
    Raises:
        ConfigError: if XDG_STATE_HOME is wrong, or there is no home directory.
    """
    if in_cluster:
        return _POD_DATA_DIR, _IN_CLUSTER
    state = environ.get("XDG_STATE_HOME")
    if state:
        if not state.startswith("/"):
            raise ConfigError(f"XDG_STATE_HOME (environment): {state!r} is not a whole path: begin it with '/'")
        return Path(state) / "peat", "XDG_STATE_HOME (environment)"
    home = _home(environ)
    if home is None:
        raise ConfigError("--data-dir is not set and there is no home directory to put it in: set it")
    return home / ".local" / "state" / "peat", BUILT_IN


def kubeconfig(environ: Mapping[str, str]) -> tuple[tuple[Path, ...], str]:
    home = _home(environ)
    return (() if home is None else (home / ".kube" / "config",)), BUILT_IN


def namespace(service_account_dir: Path) -> tuple[str, str]:
    """
    Raises:
        ConfigError: if the service account's file is there but cannot be read.
    """
    file = service_account_dir / "namespace"
    try:
        return file.read_text(encoding="utf-8").strip(), str(file)
    except FileNotFoundError:
        return "default", BUILT_IN
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{file} cannot be read: {exc}; set --namespace") from exc


def engine() -> tuple[str, str]:
    if not is_installed("y-py") and is_installed("pycrdt"):
        return "pycrdt", f"{BUILT_IN} without y-py"
    return "y-py", BUILT_IN


def is_installed(engine_name: str) -> bool:
    """Looks for the library without importing it."""
    return importlib.util.find_spec(_MODULES[engine_name]) is not None


def memory() -> tuple[int, str]:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # the rest is for all else that runs on it
    limit = memory_limit()
    if limit is not None and limit < min(machine, MOST_BYTES):
        return max(limit, LEAST_BYTES), "the memory limit of our control group"
    if machine < MOST_BYTES:
        return max(machine, LEAST_BYTES), "half of this machine's memory"
    return MOST_BYTES, BUILT_IN


def log_format() -> tuple[str, str]:
    if sys.stderr is not None and sys.stderr.isatty():
        return "text", f"{BUILT_IN} on a terminal"
    return "json", BUILT_IN


def _home(environ: Mapping[str, str]) -> Path | None:
    """HOME, else what the system says of this user: a service may have neither."""
    home = environ.get("HOME")
    if home:
        return Path(home)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def open_files() -> int:
    """How many files this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def allow_open_files() -> None:
    """Takes as many as the system lets us have: the lower, soft limit is there for programs that use select(2)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
