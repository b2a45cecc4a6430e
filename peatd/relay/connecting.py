"""From a node to a relay: a stream on which the relay's protocol can begin. All of it within `CONNECT_DEADLINE`.

The codes of `RelayError`:
    unreachable     no connection: no such name, refused, no answer, or the proxy refuses
    certificate     the relay's certificate is not good for its name
    not-a-relay     something else answers there
    timeout         not done in time
"""

import base64
import os
import socket
import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

import h11
import trio

from peatd.errors import ConfigError, RelayError, WireError
from peatd.names import Address
from peatd.relay.protocol import OPENING
from peatd.relay_url import HTTPS, TCP, RelayUrl
from peatd.threads import needing_threads
from peatd.transport.tls_stream import TlsStream

CONNECT_DEADLINE = 10.0
"""Seconds for DNS, TCP, the proxy, TLS and the WebSocket handshake: a dozen round trips through a satellite."""

UNREACHABLE = "unreachable"
CERTIFICATE = "certificate"
NOT_A_RELAY = "not-a-relay"
TIMEOUT = "timeout"

_HEADER_BYTES = 16 * 1024
_NO_AUTHORITY = (18, 19, 20, 21)
"""OpenSSL's X509_V_ERR_* of certificates for which nobody vouches whom we know: self-signed, or of an unknown CA."""


@dataclass(frozen=True)
class Outward:
    """How this node reaches relays.

    Attributes:
        ca_file: authorities that vouch for relays; None for those of the system.
        proxy: for `https`; None where there is none. `http://[USER:PASSWORD@]HOST:PORT`.
        unproxied: hosts, and domains behind a dot, that are reached without it.
    """

    ca_file: Path | None = None
    proxy: str | None = None
    unproxied: tuple[str, ...] = ()

    @cached_property
    def context(self) -> ssl.SSLContext:
        """Verifies a relay's certificate. Made when it is first asked for: the system's authorities take megabytes.

        Raises:
            ConfigError: if the file holds no certificates.
        """
        try:
            context = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
        except (OSError, ssl.SSLError) as exc:
            why = exc.strerror or exc
            raise ConfigError(f"{self.ca_file}: no certificates can be read there: {why}; see --relay-ca-file") from exc
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        context.set_alpn_protocols(["http/1.1"])
        return context

    def check(self) -> None:
        """
        Raises:
            ConfigError: if the file holds no certificates.
        """
        if self.ca_file is not None:
            assert self.context

    def proxy_for(self, host: str) -> str | None:
        for entry in self.unproxied:
            domain = entry.lower().lstrip(".")
            if entry == "*" or host == domain or host.endswith(f".{domain}"):
                return None
        return self.proxy


async def connect(url: RelayUrl, outward: Outward) -> trio.abc.HalfCloseableStream:
    """
    Raises:
        RelayError: if no relay is there, with a code of this module.
    """
    with trio.move_on_after(CONNECT_DEADLINE):
        return await _connect(url, outward)
    raise RelayError(f"{url}: no answer within {CONNECT_DEADLINE:.0f} s", TIMEOUT)


async def _connect(url: RelayUrl, outward: Outward) -> trio.abc.HalfCloseableStream:
    proxy = outward.proxy_for(url.address.host) if url.scheme == HTTPS else None
    socket_stream = await _through_proxy(url, proxy) if proxy else await _tcp(url, url.address)
    carrier: trio.abc.Stream = socket_stream
    try:
        if url.scheme == TCP:
            await socket_stream.send_all(OPENING)
            return socket_stream
        if url.scheme == HTTPS:
            carrier = TlsStream(socket_stream, outward.context, server_side=False, server_name=url.address.host)
            await carrier.handshake()
        from peatd.relay.upgrade import ask_for_websocket  # 2 MB, for those only who use it

        return await ask_for_websocket(carrier, url)
    except WireError as exc:
        await trio.aclose_forcefully(carrier)
        raise RelayError(f"{url}: {exc}", NOT_A_RELAY) from exc
    except trio.BrokenResourceError as exc:
        await trio.aclose_forcefully(carrier)
        raise _explained(url, exc) from exc
    except BaseException:
        await trio.aclose_forcefully(carrier)
        raise


def _explained(url: RelayUrl, exc: trio.BrokenResourceError) -> RelayError:
    cause = exc.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        hint = "; see --relay-ca-file" if cause.verify_code in _NO_AUTHORITY else ""
        return RelayError(f"{url}: its certificate is not to be trusted: {cause.verify_message}{hint}", CERTIFICATE)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return RelayError(f"{url}: it does not speak TLS ({cause.reason or cause.strerror})", NOT_A_RELAY)
    return RelayError(f"{url}: it closed the connection", NOT_A_RELAY)


async def _tcp(url: RelayUrl, address: Address) -> trio.SocketStream:
    try:
        with needing_threads():
            return await trio.open_tcp_stream(address.host, address.port)
    except socket.gaierror as exc:
        raise RelayError(f"{url}: the name {address.host} does not resolve", UNREACHABLE) from exc
    except OSError as exc:
        cause = exc.__cause__ or exc
        first = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause
        # trio's own text names the address once more.
        reason = os.strerror(first.errno).lower() if isinstance(first, OSError) and first.errno else str(first)
        raise RelayError(f"{url}: no connection to {address}: {reason}", UNREACHABLE) from exc


async def _through_proxy(url: RelayUrl, proxy: str) -> trio.SocketStream:
    """CONNECT (RFC 9110 §9.3.6). What the proxy says beside its status is not looked at."""
    found = urlsplit(proxy)
    if found.scheme != "http" or not found.hostname:
        raise RelayError(f"{url}: HTTPS_PROXY is not http://HOST:PORT", UNREACHABLE)
    stream = await _tcp(url, Address(found.hostname, found.port or 80))
    headers = [("Host", str(url.address))]
    if found.username is not None:
        credentials = f"{unquote(found.username)}:{unquote(found.password or '')}".encode()
        headers.append(("Proxy-Authorization", f"Basic {base64.b64encode(credentials).decode()}"))
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEADER_BYTES)
    try:
        await stream.send_all(http.send(h11.Request(method="CONNECT", target=str(url.address), headers=headers)) or b"")
        await stream.send_all(http.send(h11.EndOfMessage()) or b"")
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(_HEADER_BYTES)))
    except (h11.RemoteProtocolError, trio.BrokenResourceError) as exc:
        await trio.aclose_forcefully(stream)
        raise RelayError(f"{url}: the proxy {found.hostname} does not answer as one", UNREACHABLE) from exc
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    if isinstance(event, h11.Response) and event.status_code // 100 == 2:
        return stream
    await trio.aclose_forcefully(stream)
    status = event.status_code if isinstance(event, h11.Response) else "nothing"
    raise RelayError(f"{url}: the proxy {found.hostname} answers {status}", UNREACHABLE)
