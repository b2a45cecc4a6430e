"""List and watch over the blocking client: what runs in discovery's worker thread.

The client blocks, and has neither a way to be interrupted nor timeouts of its own. So every wait here is bounded, and
the trio side ends any of them by cutting the connection: it holds duplicates of the sockets and shuts those down,
which wakes a connect, a TLS handshake, a wait for headers and a read alike.
"""

import math
import socket
import time
from collections.abc import Callable, Iterator
from typing import cast

import urllib3
from kubernetes.client import ApiClient, ApiException, DiscoveryV1Api
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from peatd.discovery.cord import Cord
from peatd.discovery.endpointslice import Slice
from peatd.discovery.watch import (
    Answer,
    Cause,
    Ending,
    Listed,
    Nonsense,
    Page,
    Verb,
    WatchFailed,
    Watching,
    read_line,
    read_page,
    refusal,
)

CONNECT_TIMEOUT = 3.0
READ_TIMEOUT = 10.0
"""Seconds of silence after which a list has failed. There are no default timeouts: half-open would be for ever."""
WATCH_SLACK = 5.0
"""Seconds that a watch may be silent beyond the time at which the API server is to end it."""

_PAGE_ITEMS = 500
_LONGEST_LINE = 4 << 20
"""Bytes; etcd stores no object above 1.5 MiB, so a longer line is not the protocol."""


class Session:
    """Lists and watches the EndpointSlices of one namespace, a round at a time."""

    def __init__(self, client: ApiClient, namespace: str, label_selector: str, annotation_prefix: str) -> None:
        self._api = DiscoveryV1Api(client)
        self._namespace = namespace
        self._label_selector = label_selector
        self._annotation_prefix = annotation_prefix
        self._pool = client.rest_client.pool_manager
        self._pool.clear()
        # The client's own retries would hide what happened, and repeat without jitter.
        self._pool.connection_pool_kw["retries"] = False
        self._pool.pool_classes_by_scheme = _pool_classes(lambda sock: self._cord.hold(sock))
        self._cord = Cord()

    def round(self, cord: Cord, resume: str | None, wait: float, deliver: Callable[[list[Answer]], None]) -> Ending:
        """Lists, or goes on from the resource version `resume`, and watches until that ends.

        Args:
            cord: new for each round: whoever cuts it ends this round.
            wait: seconds until the API server is to end the watch.
            deliver: takes what was read; called in this thread, in order.
        """
        self._cord = cord
        verb: Verb = "list" if resume is None else "watch"
        began = time.monotonic()
        try:
            if resume is None:
                listed = self._list()
                deliver([listed])
                resume, verb, began = listed.resource_version, "watch", time.monotonic()
            failed = self._watch(resume, wait, deliver)
        except Nonsense as exc:
            return Ending(verb, Cause.NONSENSE, f"cannot {verb} endpointslices: {exc}", time.monotonic() - began)
        except ApiException as exc:
            return self._refused(verb, exc, time.monotonic() - began)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as exc:
            # ValueError: what http.client says of a header or URL that it will not send.
            message = f"cannot {verb} endpointslices: {type(exc).__name__}: {exc}"
            return Ending(verb, Cause.FAILED, message, time.monotonic() - began)
        finally:
            # A connection per round: what it was given (token, CA, address of the API server) may have changed.
            self._pool.clear()
        lasted = time.monotonic() - began
        if failed is not None:
            return refusal(
                "watch", failed.code, failed.body, namespace=self._namespace, retry_after=None, lasted=lasted
            )
        return Ending("watch", Cause.DONE, "the watch ended", lasted)

    def _refused(self, verb: Verb, exc: ApiException, lasted: float) -> Ending:
        if not exc.status:  # the client's word for a failed TLS handshake
            return Ending(verb, Cause.FAILED, f"cannot {verb} endpointslices: {exc.reason}", lasted)
        body = exc.body.encode() if isinstance(exc.body, str) else exc.body or b""
        retry_after = exc.headers.get("Retry-After") if exc.headers else None
        return refusal(verb, exc.status, body, namespace=self._namespace, retry_after=retry_after, lasted=lasted)

    def _list(self) -> Listed:
        slices: dict[str, Slice] = {}
        unread: dict[str, str] = {}
        following: str | None = None
        while True:
            page = self._page(following)
            slices.update(page.slices)
            unread.update(page.unread)
            following = page.next
            if following is None:
                return Listed(slices, unread, page.resource_version)

    def _page(self, following: str | None) -> Page:
        response = self._get(READ_TIMEOUT, limit=_PAGE_ITEMS, _continue=following)
        try:
            return read_page(response.read(), self._annotation_prefix)
        finally:
            response.close()

    def _watch(self, since: str, wait: float, deliver: Callable[[list[Answer]], None]) -> WatchFailed | None:
        seconds = max(1, math.ceil(wait))
        response = self._get(
            seconds + WATCH_SLACK,
            watch=True,
            resource_version=since,
            allow_watch_bookmarks=True,
            timeout_seconds=seconds,
        )
        try:
            deliver([Watching()])
            # Raw lines cost 120 µs an event, the client's models 382 µs.
            for lines in _lines(response.stream(None)):
                answers: list[Answer] = []
                failed = self._read(lines, answers)
                deliver(answers)
                if failed is not None:
                    return failed
        finally:
            response.close()
        return None

    def _get(self, silence: float, **query: object) -> urllib3.HTTPResponse:
        response = self._api.list_namespaced_endpoint_slice(
            self._namespace,
            label_selector=self._label_selector,
            _preload_content=False,
            _request_timeout=(CONNECT_TIMEOUT, silence),
            **query,  # type: ignore[arg-type]  # the client checks them as it is called
        )
        return cast("urllib3.HTTPResponse", response)  # what `_preload_content=False` makes of the result

    def _read(self, lines: list[bytes], answers: list[Answer]) -> WatchFailed | None:
        for line in lines:
            event = read_line(line, self._annotation_prefix)
            if isinstance(event, WatchFailed):
                return event
            answers.append(event)
        return None


def _lines(chunks: Iterator[bytes]) -> Iterator[list[bytes]]:
    """The complete lines of each chunk; what is cut off at the end of the stream is dropped, as it was not finished."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise Nonsense(f"a line of the watch is longer than {_LONGEST_LINE} bytes")
        if any(lines):
            yield [line for line in lines if line.strip()]


def _pool_classes(hold: Callable[[socket.socket], None]) -> dict[str, type[HTTPConnectionPool]]:
    """Pools whose connections hand each socket to `hold` before the first byte, TLS included, passes over it."""

    class HeldHTTPConnection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            sock = super()._new_conn()
            hold(sock)
            return sock

    class HeldHTTPSConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            sock = super()._new_conn()
            hold(sock)
            return sock

    class HTTPPool(HTTPConnectionPool):
        ConnectionCls = HeldHTTPConnection

    class HTTPSPool(HTTPSConnectionPool):
        ConnectionCls = HeldHTTPSConnection

    return {"http": HTTPPool, "https": HTTPSPool}
