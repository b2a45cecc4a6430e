"""Where the daemon is: from options, environment and defaults, as strings.

This module, `probe.py` and `main.py` import as little as can be (no typing, no pathlib): with them `peat ready` is a
probe that Kubernetes may run every few seconds in every pod.
"""

import os
import stat
from collections.abc import Mapping

DEFAULT_API = "http://127.0.0.1:8081"
UNIX = "unix:"


class Options:
    """What the command line says of the daemon; None where it says nothing."""

    __slots__ = ("api", "as_json", "data_dir", "token_file")

    def __init__(
        self,
        *,
        api: str | None = None,
        token_file: str | None = None,
        data_dir: str | None = None,
        as_json: bool = False,
    ) -> None:
        self.api = api
        self.token_file = token_file
        self.data_dir = data_dir
        self.as_json = as_json


def api(options: Options, environ: Mapping[str, str]) -> str:
    """The API's address, `unix:PATH` or a URL: `--api`, else `PEAT_API`, else the socket in the data directory.

    Only where nobody named a data directory and the usual one has no socket, it is `DEFAULT_API`. With a directory
    named it would be an answer about another node than the one that was asked for.
    """
    named = options.api or environ.get("PEAT_API")
    if named:
        return named
    socket = os.path.join(data_dir(options, environ), "api.sock")  # noqa: PTH118
    if _names_data_dir(options, environ) or _is_socket(socket):
        return UNIX + socket
    return DEFAULT_API


def data_dir(options: Options, environ: Mapping[str, str]) -> str:
    """The data directory of a daemon that was started in the same surroundings, as `peatd.config` finds it."""
    named = options.data_dir or environ.get("PEAT_DATA_DIR")
    if named:
        return named
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return "/data"
    state = environ.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):  # no daemon takes a relative one
        state = os.path.expanduser("~/.local/state")  # noqa: PTH111
    return os.path.join(state, "peat")  # noqa: PTH118


def _names_data_dir(options: Options, environ: Mapping[str, str]) -> bool:
    return bool(options.data_dir or environ.get("PEAT_DATA_DIR"))


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        return False
