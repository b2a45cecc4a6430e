"""Many Yjs clients in this process, for any server: what each costs must not hide what the server does.

It is fair because it is the same for all servers and does next to nothing. Updates are made beforehand. No client holds
a document: each update carries a *mark*, `~` and a number of eight digits, in its text, and a client has an update when
its mark has come in. Yjs servers do not mask, and are offered no compression, so a mark is looked for in the bytes as
they come, whatever the server's frames, protocol and merging: one search for each read.
Reads and clocks are of this one process, so what is told is the time from before a send until after a read. What came
can be kept, and be decoded when the clock has stopped (`text_of`).
"""

import os
import re
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import y_py

from peatd.clients import hocuspocus, protocol
from peatd.clients.protocol import Update
from peatd.lib0 import write_uint

y: Any = y_py  # its stubs are wrong

PATIENCE = 60.0
"""Seconds after which something is broken and not slow."""

_MARK = re.compile(rb"~(\d{8})")
_MARK_BYTES = 9
_BUFFER = memoryview(bytearray(1024 * 1024))
"""For all reads. Memory of their own would come from the kernel and go back with each, and cost as much as the read."""
_HEADERS = (
    "Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def mark(number: int) -> str:
    """What an update or a state carries to be known by."""
    return f"~{number:08}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document is to be had.

    Attributes:
        prefix: what stands before each message (Hocuspocus); empty for y-websocket's protocol.
    """

    port: int
    path: str
    prefix: bytes = b""


@dataclass(eq=False, slots=True)
class Client:
    """A socket behind its handshake.

    Attributes:
        heard: is given the mark numbers that came in, and when.
        kept: all that came in, if it is to be kept.
    """

    socket: socket.socket
    prefix: bytes
    heard: Callable[["Client", Sequence[bytes], float], None] | None = None
    kept: bytearray | None = None
    seen: int = -1
    _tail: bytes = field(default=b"")

    def read(self) -> None:
        try:
            read = bytes(_BUFFER[: self.socket.recv_into(_BUFFER)])
        except BlockingIOError:
            return
        if not read:
            raise RuntimeError(f"the server closed a connection: {self._tail!r}")
        now = time.perf_counter()
        if self.kept is not None:
            self.kept += read
        sought = self._tail + read
        found = _MARK.findall(sought)
        # A mark may be cut in two by a read; one that is whole is not found twice.
        self._tail = sought[-(_MARK_BYTES - 1) :]
        if found:
            self.seen = max(self.seen, int(found[-1]))
            if self.heard is not None:
                self.heard(self, found, now)


class Crowd:
    """Clients that are read from in turns, whenever something is there."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self._selector = selectors.EpollSelector()

    def join(self, place: Place, count: int = 1, *, asks: bool = True) -> list[Client]:
        """Connects clients; each asks for the document (unless it does not) and has been answered on return."""
        joined = [self._connect(place) for _ in range(count)]
        for client in joined:
            if place.prefix:
                self.send(client, _AUTHENTICATE)
            if asks:
                client.kept = bytearray()
                self.send(client, ASK)
        waiting = joined.copy() if asks else []

        def are_answered() -> bool:
            while waiting and _is_answered(waiting[-1]):
                waiting.pop()
            return not waiting

        self.run(are_answered)
        for client in joined:
            client.kept = None
        return joined

    def send(self, client: Client, *messages: bytes) -> None:
        """Sends messages at once. While the server does not read, everybody is read from."""
        left = memoryview(b"".join(_masked(client.prefix + message) for message in messages))
        while left:
            try:
                left = left[client.socket.send(left) :]
            except BlockingIOError:
                self.turn(0.001)

    def run(self, until: Callable[[], bool], within: float = PATIENCE) -> None:
        """Reads until so.

        Raises:
            TimeoutError: when that takes longer.
        """
        deadline = time.perf_counter() + within
        while not until():
            if time.perf_counter() > deadline:
                raise TimeoutError("the clients did not get what they wait for")
            self.turn(0.05)

    def turn(self, patience: float) -> None:
        """Reads what is there; waits for something for so many seconds at most."""
        for key, _ in self._selector.select(patience):
            key.data.read()

    def idle(self, seconds: float) -> None:
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            self.turn(left)

    def close(self) -> None:
        self._selector.close()
        for client in self.clients:
            client.socket.close()

    def _connect(self, place: Place) -> Client:
        sock = socket.create_connection(("127.0.0.1", place.port), PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(f"GET {place.path} HTTP/1.1\r\n{_HEADERS}".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            read = sock.recv(1)  # not beyond the handshake
            if not read:
                break
            answer += read
        if b" 101 " not in answer.partition(b"\r\n")[0]:
            raise RuntimeError(f"a handshake was answered with {answer!r}")
        sock.setblocking(False)
        client = Client(sock, place.prefix)
        self.clients.append(client)
        self._selector.register(sock, selectors.EVENT_READ, client)
        return client


@contextmanager
def crowd() -> Iterator[Crowd]:
    made = Crowd()
    try:
        yield made
    finally:
        made.close()


# What clients say -----------------------------------------------------------------------------------------------

ASK = protocol.step_1(b"\x00")
"""Asks for all of the document."""
CONFIRMED = hocuspocus.sync_status(is_stored=True)
"""What a server that speaks Hocuspocus' protocol says of each update."""
_AUTHENTICATE = bytes((hocuspocus.AUTH, 0, 0))
"""Hocuspocus: a token comes before everything, also where none is asked for: an empty one."""


def presence(client: int, clock: int, state: str) -> bytes:
    """An awareness message about one client."""
    states = bytearray((1,))
    write_uint(states, client)
    write_uint(states, clock)
    write_uint(states, len(state))
    return protocol.presence(bytes(states) + state.encode())


def typed(marks: Iterable[int], client: int = 1) -> list[bytes]:
    """The updates of a client that writes these marks, one behind the other, into a text."""
    document = y.YDoc(client)
    text = document.get_text("text")
    return [_written(document, partial(_extend, text, mark(number))) for number in marks]


def set_often(marks: Iterable[int], client: int) -> list[bytes]:
    """The updates of a client that sets a key of its own to these marks, one after the other."""
    document = y.YDoc(client)
    values = document.get_map("data")
    return [_written(document, partial(_set, values, {f"client-{client}": mark(number)})) for number in marks]


def large(size_bytes: int, last: int) -> list[bytes]:
    """A document of so many bytes in updates of 256 KB at most; the last of its values is this mark."""
    document = y.YDoc(1)
    values = document.get_map("data")
    count = size_bytes // 1024
    updates = []
    for first in range(0, count, 256):
        some = {f"key-{number:05}": os.urandom(495).hex() for number in range(first, min(first + 256, count))}
        if first + 256 >= count:
            some["last"] = mark(last)
        updates.append(_written(document, partial(_set, values, some)))
    return updates


def text_of(received: bytes, prefix: bytes) -> str:
    """The text of a client that got these bytes behind its handshake."""
    document = y.YDoc()
    for message in _messages(received):
        if message.startswith(prefix) and message[len(prefix)] == protocol.SYNC:
            said = protocol.decode(message, len(prefix))
            if isinstance(said, Update):
                y.apply_update(document, said.update)
    return str(document.get_text("text"))


def _extend(text: Any, word: str, transaction: Any) -> None:
    text.extend(transaction, word)


def _set(values: Any, some: Mapping[str, str], transaction: Any) -> None:
    for key, value in some.items():
        values.set(transaction, key, value)


def _written(document: Any, write: Callable[[Any], None]) -> bytes:
    before = y.encode_state_vector(document)
    with document.begin_transaction() as transaction:
        write(transaction)
    return bytes(protocol.update(y.encode_state_as_update(document, before)))


def _messages(received: bytes) -> Iterator[bytes]:
    """The payloads of a server's frames; joined where they are in parts."""
    position, parts = 0, b""
    while position < len(received):
        first, length, position = received[position], received[position + 1], position + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, position = int.from_bytes(received[position : position + size]), position + size
        payload, position = received[position : position + length], position + length
        if first & 0x0F > 2:
            continue  # a ping
        parts += payload
        if first & 0x80:
            yield parts
            parts = b""


def _is_answered(client: Client) -> bool:
    """Whether step 2 came, whatever it holds: after it a server sends news."""
    kinds = (protocol.SYNC, hocuspocus.SYNC_REPLY)
    start = len(client.prefix)
    assert client.kept is not None
    said = (message[start : start + 2] for message in _messages(bytes(client.kept)))
    return any(len(head) == 2 and head[0] in kinds and head[1] == protocol.STEP_2 for head in said)


def _masked(message: bytes) -> bytes:
    """As a client's frame. The mask is all zeros: a server unmasks it at the same cost, and this process need not."""
    size = len(message)
    if size < 126:
        head = bytes((0x82, 0x80 | size))
    elif size < 2**16:
        head = bytes((0x82, 0x80 | 126)) + size.to_bytes(2)
    else:
        head = bytes((0x82, 0x80 | 127)) + size.to_bytes(8)
    return head + bytes(4) + message
