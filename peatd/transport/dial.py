"""The initiating side: from the addresses of a peer to a link, or the reason why not."""

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio

from peatd.errors import CertificateRefused, Declined, HandshakeError, Unreachable
from peatd.names import Address
from peatd.threads import needing_threads
from peatd.transport import establish
from peatd.transport.link import Link
from peatd.transport.race import Attempt, race
from peatd.transport.tls import Credentials
from peatd.wire.messages import Hello

CONNECT_DEADLINE = 5.0
"""Seconds for DNS and TCP, per address: a node that answers needs one, a firewall that drops never answers."""
DIAL_DEADLINE = 30.0
"""Seconds for all addresses of a peer, of which one begins each quarter of a second: a hundred of them."""

REFUSED = "refused"
NO_ANSWER = "no-answer"
NO_NAME = "dns"
NO_ROUTE = "no-route"

_TELLING = (NO_NAME, NO_ROUTE, NO_ANSWER, REFUSED)
_TELLING_HANDSHAKES = (establish.CLOSED, establish.TIMEOUT, establish.NOT_PEAT, establish.NOT_OUR_FORMATION)
"""From the least telling to the most. What is not listed tells more: it was a node of a formation that said no. Most of
all that we said so: that node is linked."""


async def dial(
    addresses: Sequence[Address],
    credentials: Credentials,
    hello: Hello,
    declines: establish.Declines = lambda _: None,
) -> Link:
    """Tries the addresses in this order, soon several at once; a DNS name is resolved anew each time, and all that it
    stands for is tried.

    Raises:
        Unreachable: if no address took the connection.
        HandshakeError: if one did, but no link came of it. If one led to a peer that is linked already,
            it is a `Declined`.
    """
    failures: list[Unreachable | HandshakeError] = []

    async def attempt(address: Address, connected: trio.Event) -> Link:
        try:
            return await _dial(address, connected, credentials, hello, declines)
        except (Unreachable, HandshakeError) as exc:
            failures.append(exc)
            raise

    with trio.move_on_after(DIAL_DEADLINE):
        raced = await race([Attempt(partial(attempt, address)) for address in addresses], _hang_up)
        if raced[0] is not None:
            return raced[0]
    if not failures:
        raise Unreachable("no address of it is known", code=NO_ROUTE)
    raise max(failures, key=_telling)


async def _hang_up(link: Link) -> None:
    await trio.aclose_forcefully(link.stream)


async def _dial(
    address: Address, connected: trio.Event, credentials: Credentials, hello: Hello, declines: establish.Declines
) -> Link:
    async def connect() -> trio.SocketStream:
        stream = await _connect(address)
        connected.set()
        return stream

    try:
        return await initiate_over(connect, credentials, hello, address, declines)
    except Declined:
        raise
    except HandshakeError as exc:
        raise HandshakeError(f"{address}: {exc}", code=exc.code) from exc


async def initiate_over(
    connect: Callable[[], Awaitable[trio.abc.Stream]],
    credentials: Credentials,
    hello: Hello,
    address: Address,
    declines: establish.Declines = lambda _: None,
) -> Link:
    """A link over a stream to that address, or over a second one where the first cannot do.

    Raises:
        HandshakeError: if no link comes of it; and what `connect` raises.
    """
    try:
        return await establish.initiate(await connect(), credentials, hello, address, declines=declines)
    except CertificateRefused as exc:
        if not exc.accepts:
            raise
        # A secret is being rotated, and the peer does not know our first one yet. It does know this one.
        stream, secret = await connect(), exc.accepts
        return await establish.initiate(stream, credentials, hello, address, secret_index=secret, declines=declines)


async def _connect(address: Address) -> trio.SocketStream:
    try:
        with trio.move_on_after(CONNECT_DEADLINE), needing_threads():
            return await trio.open_tcp_stream(address.host, address.port)
    except socket.gaierror as exc:
        raise Unreachable(f"{address}: the name does not resolve ({exc.strerror})", code=NO_NAME) from exc
    except OSError as exc:
        raise _unreachable(address, exc) from exc
    raise Unreachable(f"{address}: no answer within {CONNECT_DEADLINE:.0f} s", code=NO_ANSWER)


def _unreachable(address: Address, exc: OSError) -> Unreachable:
    """trio says that all attempts failed; the reason of each is its cause, or a group of them."""
    causes = exc.__cause__.exceptions if isinstance(exc.__cause__, BaseExceptionGroup) else [exc.__cause__ or exc]
    codes = {_code(cause): cause for cause in causes}
    code = max(codes, key=_TELLING.index)
    return Unreachable(f"{address}: {_reason(codes[code])}", code=code)


def _code(cause: BaseException) -> str:
    match cause:
        case ConnectionRefusedError():
            return REFUSED
        case OSError(errno=errno.ETIMEDOUT):
            return NO_ANSWER
        case _:
            return NO_ROUTE


def _reason(cause: BaseException) -> str:
    # trio's own text names the address once more.
    number = cause.errno if isinstance(cause, OSError) else None
    return os.strerror(number).lower() if number else str(cause)


def _telling(failure: Unreachable | HandshakeError) -> tuple[bool, int]:
    if isinstance(failure, Unreachable):
        return False, _TELLING.index(failure.code)
    rank = _TELLING_HANDSHAKES
    if isinstance(failure, Declined):
        return True, len(rank) + 1
    return True, rank.index(failure.code) if failure.code in rank else len(rank)
