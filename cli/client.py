"""The local node's HTTP API, over its unix socket or TCP."""

import http.client
import ipaddress
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from cli import unix
from cli.locate import UNIX, Options, api, data_dir
from cli.outcome import Exit, Stop
from cli.refusal import refusal

TIMEOUT = 10.0
"""Seconds without a byte before we give up on a daemon that took our connection."""

_ROOT = "/api/v1"
_OK = 200
_PIECE_BYTES = 64 * 1024
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered, whatever its status.

    Attributes:
        etag: the document's version, as `If-Match` takes it.
    """

    status: int
    body: bytes
    etag: str | None

    def parse(self, shape: type[T]) -> T:
        """The body as `shape`.

        Raises:
            Stop: if it has another.
        """
        try:
            return msgspec.json.decode(self.body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise Stop(
                Exit.API_FAILED,
                f"the API's answer makes no sense ({exc}); is it a peatd of another version? "
                "`peat version` tells ours, --json shows the answer",
            ) from exc


class Daemon:
    """A peatd to ask. Opens a connection per request: a command makes one or two.

    Attributes:
        token: what goes along with every request; None where none is needed or known.
    """

    def __init__(self, address: str, token: str | None) -> None:
        self._address = address
        self.token = token

    @classmethod
    def find(cls, options: Options, environ: Mapping[str, str]) -> "Daemon":
        """The daemon that options and environment lead to.

        Raises:
            Stop: if the address does not parse or a token that was asked for cannot be read.
        """
        address = api(options, environ)
        if address.startswith(UNIX):
            return cls(address, None)  # who may open the socket needs no token
        host = _split(address).hostname or ""
        return cls(address, _token(options, environ, host))

    def ask(
        self,
        method: str,
        route: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Answer:
        """One request; `route` follows `/api/v1`.

        Raises:
            Stop: if nobody answers, or the answer is not HTTP.
        """
        with self._response(
            method, route, body, {"Accept": "application/json", **(headers or {})}, timeout
        ) as response:
            return Answer(response.status, response.read(), response.getheader("ETag"))

    @contextmanager
    def stream(self, route: str, since: str | None, silence: float) -> Iterator[Iterator[bytes]]:
        """An answer that goes on, piece by piece as they come, after the event with the id `since`.

        Args:
            silence: seconds without a byte after which it is over.

        Raises:
            Stop: if nobody answers, the API refuses, or the connection breaks.
        """
        headers = {"Accept": "text/event-stream"} | ({} if since is None else {"Last-Event-ID": since})
        with self._response("GET", route, None, headers, silence) as response:
            if response.status != _OK:
                raise refusal(response.status, response.read())
            yield iter(lambda: response.read1(_PIECE_BYTES), b"")

    @contextmanager
    def _response(
        self, method: str, route: str, body: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> Iterator[http.client.HTTPResponse]:
        connection, prefix = self._connection(timeout)
        sent = dict(headers)
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, prefix + _ROOT + route, body, sent)
            yield connection.getresponse()
        except OSError as exc:
            raise Stop(Exit.NO_ANSWER, self._silence(exc, timeout)) from exc
        except http.client.HTTPException as exc:
            raise Stop(
                Exit.API_FAILED,
                f"{self._address} does not answer as peatd does ({type(exc).__name__}); "
                "name the daemon's API with --api",
            ) from exc
        finally:
            connection.close()

    def _connection(self, timeout: float) -> tuple[http.client.HTTPConnection, str]:
        if self._address.startswith(UNIX):
            return _UnixConnection(self._address.removeprefix(UNIX), timeout), ""
        url = _split(self._address)
        tls = url.scheme == "https"
        kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
        return kind(url.hostname or "", url.port or (443 if tls else 80), timeout=timeout), url.path.rstrip("/")

    def _silence(self, exc: OSError, timeout: float) -> str:
        if isinstance(exc, PermissionError):
            return f"{self._address} may not be opened: {exc.strerror}; run peat as the daemon's user, or use --api"
        reason = f"nothing within {timeout:g} s" if isinstance(exc, TimeoutError) else exc.strerror or str(exc)
        return (
            f"no daemon answers at {self._address}: {reason}; "
            "is peatd running there? Name its data directory with --data-dir, or its API with --api"
        )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = unix.connect(self._path, self.timeout)


def _split(address: str) -> SplitResult:
    """The parts of a URL that can be asked.

    Raises:
        Stop: if it is not one.
    """
    try:
        url = urlsplit(address)
        sound = url.scheme in ("http", "https") and url.hostname and url.port != 0 and address.isprintable()
    except ValueError:
        sound = False
    if not sound or url.query or url.fragment or url.username is not None or " " in address:
        raise Stop(Exit.USAGE, f"{address!r} is not an API's address; write http://HOST:PORT or unix:PATH (--api)")
    return url


def _token(options: Options, environ: Mapping[str, str], host: str) -> str | None:
    named = options.token_file or environ.get("PEAT_TOKEN_FILE")
    if named:
        return _read_token(Path(named))
    if options.data_dir is None and not _is_this_machine(host):
        return None  # this node's token would tell another host how to command us
    path = Path(data_dir(options, environ)) / "api.token"
    return _read_token(path) if os.access(path, os.R_OK) else None


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            token = file.read(4096).strip()
    except OSError as exc:
        raise Stop(Exit.USAGE, f"token file {path}: {exc.strerror or exc}; name another one with --token-file") from exc
    if not token or not token.isascii() or not all(33 <= byte <= 126 for byte in token):
        raise Stop(Exit.USAGE, f"token file {path} holds no token; name the daemon's api.token with --token-file")
    return token.decode("ascii")
