"""Recorded typing of several authors at once, replayed on nodes. The format is that of josephg/editing-traces.

`{"kind": "concurrent", "endContent", "numAgents", "txns": [{"parents", "agent", "patches": [[position, deleted,
inserted], ...]}]}`: a transaction applies to the merge of its parents (indexes of earlier ones; none = the empty text),
its patches in sequence, positions in code points. Inserts at one place are ordered by client id in Yjs, and the traces
were recorded so that agent 0's is the lowest.
"""

import gzip
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import y_py
from e2e.nodes import Node
from e2e.unix_http import Connection

ROOT = "text"

_FIRST_CLIENT = 1000
"""Client ids ascend with the agents."""


@dataclass(frozen=True)
class Transaction:
    agent: int
    parents: tuple[int, ...]
    patches: Sequence[tuple[int, int, str]]


@dataclass(frozen=True)
class Trace:
    end: str
    agents: int
    transactions: Sequence[Transaction]


def read_trace(path: Path) -> Trace:
    recorded: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    transactions = [
        Transaction(txn.get("agent", 0), tuple(txn.get("parents", [n - 1] if n else [])), txn["patches"])
        for n, txn in enumerate(recorded["txns"])
    ]
    return Trace(recorded["endContent"], recorded.get("numAgents", 1), transactions)


class Author:
    """One agent's program: a Yjs document of its own, and the node that it tells of what it types."""

    def __init__(self, agent: int, node: Node, document: str, *, batch: int) -> None:
        self.doc = y_py.YDoc(client_id=_FIRST_CLIENT + agent, offset_kind="utf32", skip_gc=False)
        self.text = self.doc.get_text(ROOT)
        self.seen: set[int] = set()
        """Transactions whose updates the document holds."""
        self.refused = 0
        """How often the node lacked what an update builds on: 409."""
        self._node = node
        self._path = f"documents/{document}/updates"
        self._connection: Connection | None = None
        self._untold = y_py.encode_state_vector(self.doc)
        self._typed = 0
        self._batch = batch

    def type(self, patches: Sequence[tuple[int, int, str]]) -> bytes:
        """Makes one transaction, and the update of it."""
        before = y_py.encode_state_vector(self.doc)
        with self.doc.begin_transaction() as transaction:
            for position, deleted, inserted in patches:
                if deleted:
                    self.text.delete_range(transaction, position, deleted)
                if inserted:
                    self.text.insert(transaction, position, inserted)
        self._typed += 1
        if self._typed >= self._batch:
            self.tell()
        return bytes(y_py.encode_state_as_update(self.doc, before))

    def hear(self, update: bytes) -> None:
        """Takes in what another author typed."""
        self.tell()
        y_py.apply_update(self.doc, update)
        self._untold = y_py.encode_state_vector(self.doc)

    def tell(self) -> None:
        """Posts what was typed since. A node that lacks what it builds on says so, and is sent that too."""
        if not self._typed:
            return
        self._typed = 0
        reply = self._post(bytes(y_py.encode_state_as_update(self.doc, self._untold)))
        if reply.status == 409:
            self.refused += 1
            vector = urlsafe_b64decode(reply.json["state_vector"] + "===")
            reply = self._post(bytes(y_py.encode_state_as_update(self.doc, vector)))
        assert reply.status in (200, 201), reply
        self._untold = y_py.encode_state_vector(self.doc)

    def pull(self) -> str:
        """Asks its node for what it lacks; the text then."""
        vector = urlsafe_b64encode(y_py.encode_state_vector(self.doc)).decode().rstrip("=")
        reply = self._asked().ask("GET", f"{self._path}?sv={vector}")
        assert (reply.status, reply.headers["content-type"]) == (200, "application/octet-stream")
        y_py.apply_update(self.doc, reply.body)
        return str(self.text)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _post(self, update: bytes) -> Any:
        return self._asked().ask("POST", f"{self._path}?ack=applied", update)

    def _asked(self) -> Connection:
        if self._connection is None:
            self._connection = self._node.connection()
        return self._connection


def replay(trace: Trace, authors: Sequence[Author]) -> None:
    """Types all transactions in their order, each author seeing of the others' what its recorded hand saw."""
    updates: list[bytes] = []
    for index, transaction in enumerate(trace.transactions):
        author = authors[transaction.agent]
        for missing in _missing(trace, author.seen, transaction.parents):
            author.hear(updates[missing])
            author.seen.add(missing)
        updates.append(author.type(transaction.patches))
        author.seen.add(index)
    for author in authors:
        author.tell()


def _missing(trace: Trace, seen: set[int], parents: Sequence[int]) -> list[int]:
    """The transactions that lead up to these parents and were not seen, in an order that respects that."""
    found: set[int] = set()
    waiting = list(parents)
    while waiting:
        index = waiting.pop()
        if index not in seen and index not in found:
            found.add(index)
            waiting += trace.transactions[index].parents
    return sorted(found)
