"""Programs that write to nodes without a pause, and remember what was acknowledged."""

import contextlib
import http.client
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from e2e.nodes import Node, document_names, until, wait_equal

_BETWEEN = 0.02
"""Seconds until a writer asks a node again that did not answer."""


class Writer(threading.Thread):
    """Writes documents of its own and fields of a shared one, deletes some, and reports to nobody but its memory.

    Attributes:
        fields: of the shared document, acknowledged.
        documents: its own that must be there, with their content.
        deleted: its own that must be gone.
        faults: answers that it should never have had.
    """

    def __init__(self, name: str, node: Node, shared: str) -> None:
        super().__init__(name=name, daemon=True)
        self.node = node
        self.shared = shared
        self.fields: dict[str, int] = {}
        self.documents: dict[str, Any] = {}
        self.deleted: set[str] = set()
        self.faults: list[str] = []
        self.acknowledged = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        turn = 0
        connection = self.node.connection()
        while not self.stopped.is_set():
            turn += 1
            try:
                self._write(connection, turn)
            except (OSError, http.client.HTTPException):
                connection.close()
                self.stopped.wait(_BETWEEN)
        connection.close()

    def _write(self, connection: Any, turn: int) -> None:
        own = f"{self.shared.partition('/')[0]}/{self.name}-{turn}"
        match turn % 4:
            case 0 if turn % 8 == 0 and (victim := next(iter(self.documents), None)):
                # Whatever the answer is, it may be gone now.
                del self.documents[victim]
                if self._ask(connection, "DELETE", victim):
                    self.deleted.add(victim)
            case 0 | 1:
                if self._ask(connection, "PUT", own, {"n": turn}):
                    self.documents[own] = {"n": turn}
            case _:
                field = f"{self.name}-{turn}"
                if self._ask(connection, "PATCH", self.shared, {field: turn, "nested": {field: {"n": turn}}}):
                    self.fields[field] = turn

    def _ask(self, connection: Any, method: str, name: str, body: Any = None) -> bool:
        reply = connection.ask(method, f"documents/{name}", body)
        if reply.status in (200, 201, 204):
            self.acknowledged += 1
            return True
        if reply.status not in (503, 504):
            self.faults.append(f"{method} {name}: {reply.status} {reply.body!r}")
        return False


@contextlib.contextmanager
def writing(nodes: Sequence[Node], *, per_node: int, shared: str) -> Iterator[list[Writer]]:
    """Several writers on each node, for a block."""
    writers = [Writer(f"{node.name}-{n}", node, shared) for node in nodes for n in range(per_node)]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.stopped.set()
        for writer in writers:
            writer.join(30)


def wait_acknowledged(writers: Sequence[Writer], more: int) -> None:
    """Waits until each of them has had that many more of its writes acknowledged."""
    targets = [(writer, writer.acknowledged + more) for writer in writers]
    until(lambda: all(w.acknowledged >= target for w, target in targets), f"{more} more writes are acknowledged")


def check_all_there(nodes: Sequence[Node], writers: Sequence[Writer]) -> None:
    """Every acknowledged write, on every node; and the nodes are equal."""
    assert [fault for writer in writers for fault in writer.faults] == []
    shared = writers[0].shared
    wait_equal(nodes, shared)
    until(lambda: len({tuple(document_names(node)) for node in nodes}) == 1, "all nodes have the same documents")
    fields = {field: turn for writer in writers for field, turn in writer.fields.items()}
    for node in nodes:
        there = set(document_names(node))
        assert not there & {name for writer in writers for name in writer.deleted}
        document = node.document(shared)
        assert {field: document.get(field) for field in fields} == fields
        assert {field: document["nested"].get(field) for field in fields} == {f: {"n": n} for f, n in fields.items()}
        with node.connection() as connection:
            for name, content in ((name, content) for w in writers for name, content in w.documents.items()):
                reply = connection.ask("GET", f"documents/{name}")
                assert (reply.status, reply.status == 200 and reply.json["document"]) == (200, content), name
