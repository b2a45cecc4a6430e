"""Where a relay that is no node tells how it is: /livez, /readyz and /metrics, without credentials. Numbers only."""

from collections.abc import Callable, Sequence
from http import HTTPStatus

import h11
import trio

from peatd.exposition import exposition
from peatd.measures import Durations, Measure
from peatd.names import Address
from peatd.threads import run_in_thread
from peatd.transport.binding import bind_sockets, peer_address

_DEADLINE = 10.0
"""Seconds for a request and its answer."""
_MAX_REQUESTS = 32
"""At once: probes and a scraper are three."""
_HEADER_BYTES = 8 * 1024
_CONTENT_TYPE = "text/plain; charset=utf-8"

Measures = Callable[[], Sequence[Measure | Durations]]


async def serve_status(
    bind: Address, measures: Measures, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serves until cancelled; reports where.

    Raises:
        ConfigError: if the address cannot be bound.
    """
    listeners = await bind_sockets(bind, "--status")
    places = trio.Semaphore(_MAX_REQUESTS)

    async def answer(stream: trio.SocketStream) -> None:
        async with places, stream:
            with trio.move_on_after(_DEADLINE):
                await _answer(stream, measures)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, answer, listeners)
        task_status.started(peer_address(listeners[0].socket.getsockname()))


async def _answer(stream: trio.SocketStream, measures: Measures) -> None:
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEADER_BYTES)
    try:
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(_HEADER_BYTES)))
        if not isinstance(event, h11.Request):
            return
        status, body, content_type = await _answer_to(event, measures)
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Connection", "close")]
        sent = [http.send(h11.Response(status_code=status.value, reason=status.phrase, headers=headers))]
        if event.method != b"HEAD":
            sent.append(http.send(h11.Data(data=body)))
        await stream.send_all(b"".join(part or b"" for part in sent))
    except (h11.RemoteProtocolError, trio.BrokenResourceError):
        return


async def _answer_to(request: h11.Request, measures: Measures) -> tuple[HTTPStatus, bytes, str]:
    path = request.target.decode("ascii", "replace").partition("?")[0]
    if request.method not in (b"GET", b"HEAD"):
        return HTTPStatus.METHOD_NOT_ALLOWED, b"GET only\n", _CONTENT_TYPE
    if path in ("/livez", "/readyz"):
        return HTTPStatus.OK, b"ok\n", _CONTENT_TYPE
    if path != "/metrics":
        return HTTPStatus.NOT_FOUND, b"/livez, /readyz and /metrics are here\n", _CONTENT_TYPE
    accept = next((value.decode("latin-1") for name, value in request.headers if name == b"accept"), "")
    # A thread: the first call imports the library, and counting a process's files reads a directory.
    try:
        body, content_type = await run_in_thread(exposition, measures(), accept)
    except (OSError, ImportError) as exc:
        return HTTPStatus.SERVICE_UNAVAILABLE, f"the metrics cannot be made: {exc}\n".encode(), _CONTENT_TYPE
    return HTTPStatus.OK, body, content_type
