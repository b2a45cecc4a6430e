"""A large document goes to and fro over a line of 2 MB/s, and no stock client gives up meanwhile: each drops a server
that it has not heard of for 30 s."""

import random
from pathlib import Path

from e2e.lines import Line
from e2e.nodes import formation_in, until
from fakes.ports import free_address
from fakes.yjs import YjsClients
from yjs.meshes import KINDS, Mesh

RATE = 2e6
"""Bytes a second."""
QUICKER = 10e6
"""The way up, where it does not matter: more than the nodes take at once."""
MEGABYTES = 50


def test_50_megabytes_go_up_and_down_a_slow_line_without_one_reconnect(
    yjs: YjsClients, tmp_path: Path, is_long: bool
) -> None:
    name, writer, readers = "notes/large", 0, (1, 2)
    with formation_in(tmp_path) as formation, Mesh(formation, engines=("y-py", "pycrdt", "y-py")) as mesh:
        rates = (RATE if is_long else QUICKER, RATE, RATE)
        slow = [
            Line(free_address(), url.removeprefix("ws://"), rate=rate)
            for url, rate in zip(mesh.urls, rates, strict=True)
        ]
        with slow[0], slow[1], slow[2]:
            yjs.open(writer, random.getrandbits(32))
            assert yjs.fill(writer, MEGABYTES, words=50_000) > MEGABYTES * 1e6
            yjs.connect(writer, "y-websocket", f"ws://{slow[0].address}", name)

            def is_everywhere() -> bool:
                listed = [node.get("documents")["documents"] for node in mesh.nodes]
                return all(documents and documents[0]["size_bytes"] > MEGABYTES * 1e6 for documents in listed)

            until(is_everywhere, "all nodes have it", within=180)
            for reader in readers:
                yjs.open(reader, random.getrandbits(32))
                yjs.connect(reader, KINDS[reader % 2], f"ws://{slow[reader].address}", name)
            until(lambda: all(yjs.status(reader)["synced"] for reader in readers), "it is loaded", within=180)
            # The last pieces may have come to a reader's node while it was being served.
            whole = yjs.vector(writer)
            until(lambda: all(yjs.vector(reader) == whole for reader in readers), "all of it is there", within=60)
            for doc in (writer, *readers):
                status = yjs.status(doc)
                assert (status["opens"], status["closes"]) == (1, []), status
            assert not any(node.has_logged("engine.ended") for node in mesh.nodes)
