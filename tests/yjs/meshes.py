"""Nodes with stock clients at them, and what all of them see."""

import random
from collections.abc import Sequence
from itertools import permutations, zip_longest
from typing import Any, Self

from e2e.lines import Line
from e2e.nodes import Formation, Node, until, up
from fakes.ports import free_address
from fakes.yjs import YjsClients, with_cut_pairs

KINDS = ("y-websocket", "hocuspocus")
NAMES = ("alice", "bob", "carol")


class Mesh:
    """Three nodes, each with a port for clients that stays the same over restarts, and lines between them."""

    def __init__(self, formation: Formation, *, engines: Sequence[str] = ()) -> None:
        self.nodes = formation.mesh(*NAMES)
        self.urls: list[str] = []
        self._lines = {(here, there): Line(free_address(), there.mesh) for here, there in permutations(self.nodes, 2)}
        for (here, there), line in self._lines.items():
            here.arguments = [word.replace(f"@{there.mesh}", f"@{line.address}") for word in here.arguments]
        for node, engine in zip_longest(self.nodes, engines, fillvalue="y-py"):
            address = free_address()
            node.arguments = [*node.arguments, "--clients", address, "--engine", engine]
            self.urls.append(f"ws://{address}")
        up(*self.nodes)

    def cut_off(self, node: Node) -> None:
        """From all others, not from its clients."""
        for line in self._lines_of(node):
            line.cut()
        until(lambda: not node.linked(), f"{node.name} is cut off")

    def mend(self, node: Node) -> None:
        for line in self._lines_of(node):
            line.mend()

    def _lines_of(self, node: Node) -> list[Line]:
        return [line for ends, line in self._lines.items() if node in ends]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._lines.values():
            line.close()


def open_clients(yjs: YjsClients, mesh: Mesh, name: str, count: int = 4) -> list[int]:
    """Clients of both kinds in turn, on all nodes in turn."""
    docs = list(range(count))
    for doc in docs:
        yjs.open(doc, random.getrandbits(32))
        yjs.connect(doc, KINDS[doc % 2], mesh.urls[doc % len(mesh.urls)], name)
    return docs


def wait_synced(yjs: YjsClients, docs: list[int]) -> None:
    until(lambda: all(yjs.status(doc)["synced"] for doc in docs), f"all are synced: {[yjs.status(d) for d in docs]}")


def seen_by_clients(yjs: YjsClients, doc: int) -> tuple[Any, ...]:
    document, roots, _ = yjs.read(doc)
    return as_numbers(document), as_numbers(roots), yjs.vector(doc)


def seen_by_api(node: Node, name: str) -> tuple[Any, Any]:
    reply = node.ask("GET", f"documents/{name}")
    if reply.status == 404:
        return None, None
    found = reply.json
    roots = {"t": "", "a": [], "x": ""} | found.get("roots", {})
    return as_numbers(found["document"]), as_numbers(roots)


def as_numbers(value: Any) -> Any:
    """JSON as JavaScript holds it: all its numbers are floats."""
    match value:
        case bool():
            return value
        case int():
            return float(value)
        case list():
            return [as_numbers(item) for item in value]
        case dict():
            return {key: as_numbers(item) for key, item in value.items()}
    return value


def wait_converged(yjs: YjsClients, mesh: Mesh, docs: list[int], name: str) -> None:
    def is_converged() -> bool:
        by_clients = [seen_by_clients(yjs, doc) for doc in docs]
        seen = [(document, roots) for document, roots, _ in by_clients]
        clients_agree = all(one == seen[0] for one in seen)
        seen += [seen_by_api(node, name) for node in mesh.nodes]
        if not clients_agree:  # nor need they, about a pair that was cut
            seen = [with_cut_pairs(one) for one in seen]
        return len({vector for *_, vector in by_clients}) == 1 and all(one == seen[0] for one in seen)

    until(is_converged, f"all clients and the JSON of all nodes are equal in {name}")
