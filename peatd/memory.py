"""How the memory that a node may take is shared out. Sans-IO.

A node and its engine take some 75 MiB when they are idle; what is above that is shared by those who can use it up. Each
share is a bound, kept where the bytes are: over it callers wait, and are refused when that takes too long. So a node
with little memory is slower and says no more often, and is not killed for what it promised.
"""

from dataclasses import dataclass

MIB = 2**20

IDLE_BYTES = 96 * MIB
"""Of a node and one engine process, with room for what is not worth counting: the table, buffers, SQLite's pages."""
IDLE_ENGINE_BYTES = 24 * MIB
"""Of each engine process beyond the first."""
LEAST_BYTES = 192 * MIB
"""With less, a share is too small for the largest request."""
MOST_BYTES = 4096 * MIB
"""More is not needed for what one node of two cores can do in a second, and would only be more to lose."""

_EXPANSION = 8
"""How much larger than its log a document is in an engine: measured, 64 MiB take half a GiB."""

_DOCUMENT_BYTES = 2048
"""Of what is known of a document: measured, 1,450 in the table; the rest for the store's and a few links' part."""

_CLIENT_BYTES = 40 * 1024
"""Of a Yjs client that is connected and idle: measured, 18 KiB; the rest for what it has in the room of a document."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Bytes, each a bound of its own; and one that is a number.

    Attributes:
        engine: of one engine process, above what it starts with.
        document: that a writer may make one document: what the engine can open, and prove the snapshot of.
        open_documents: of the logs of the documents in it.
        waiting: of the requests that wait for it.
        pending: of what is recorded and not on the disk yet.
        changes: of the latest changes of all documents, kept for peers.
        requests: that HTTP requests take together, while they are answered.
        client_messages: of Yjs clients' messages that are not whole yet.
        client_diffs: of what Yjs clients asked for, and have not taken yet.
        peer_updates: of peers' updates that are not whole yet.
        clients: how many Yjs clients there may be.
        documents: how many may be known, deleted ones included. What these two take stands beside the shares, which are
            never all used up at once: under every load that was tried, a node of 256 MiB with few documents took 225.
    """

    engine: int
    document: int
    open_documents: int
    waiting: int
    pending: int
    changes: int
    requests: int
    client_messages: int
    client_diffs: int
    peer_updates: int
    clients: int
    documents: int


def share_out(memory_bytes: int, engine_workers: int) -> Shares:
    """The shares of a node that may take so much. What is measured of them together stays below it."""
    free = max(min(memory_bytes, MOST_BYTES), LEAST_BYTES) - IDLE_BYTES - (engine_workers - 1) * IDLE_ENGINE_BYTES
    free = max(free, LEAST_BYTES - IDLE_BYTES)
    engine = free * 5 // 8 // engine_workers
    return Shares(
        engine=min(engine, 2048 * MIB),
        document=min(engine // _EXPANSION // 3, 64 * MIB),
        open_documents=min(engine // _EXPANSION // 2, 64 * MIB),
        waiting=max(min(free // 32 // engine_workers, 16 * MIB), MIB),
        pending=min(free // 16, 64 * MIB),
        changes=min(free // 32, 16 * MIB),
        requests=min(free // 8, 512 * MIB),
        client_messages=min(free // 32, 128 * MIB),
        client_diffs=min(free // 32, 128 * MIB),
        peer_updates=min(free // 16, 128 * MIB),
        clients=min(free // 4 // _CLIENT_BYTES, 10_000),
        documents=free // 5 // _DOCUMENT_BYTES,
    )
