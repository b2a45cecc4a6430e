"""Stock clients at a node whose disk is full, and on lines that take less than there is: nothing is lost, nobody is
dropped, and nobody waits for another."""

import random
import time

from e2e.disks import LimitedFiles
from e2e.lines import Line
from e2e.nodes import Node, until
from fakes.ports import free_address
from fakes.yjs import YjsClients
from yjs.meshes import KINDS, Mesh, open_clients, wait_converged, wait_synced

VALUE_BYTES = 60_000
RATE = 40e3
"""Bytes a second: a small part of what is written meanwhile, on a slow machine too."""


def test_at_a_full_disk_clients_are_told_keep_their_edits_and_have_them_stored_later(
    yjs: YjsClients, mesh: Mesh
) -> None:
    name, alice = "notes/full", mesh.nodes[0]
    docs = open_clients(yjs, mesh, name, 6)
    at_alice, elsewhere = (docs[0], docs[3]), (docs[1], docs[2], docs[4], docs[5])
    wait_synced(yjs, docs)
    yjs.edit(docs[0], 1, 20)
    wait_converged(yjs, mesh, docs, name)
    disk = LimitedFiles()
    disk.fill(alice)

    def is_full() -> bool:
        for doc in at_alice:
            yjs.edit(doc, random.getrandbits(31), 5)
        return not store_is_up(alice)

    until(is_full, "the disk is full")
    for doc in docs:
        yjs.edit(doc, random.getrandbits(31), 20)
    until(lambda: "cannot be stored now" in str(yjs.status(at_alice[0])["told"]), "who cannot see it is told")
    until(lambda: len({yjs.vector(doc) for doc in elsewhere}) == 1, "others go on")
    assert yjs.status(at_alice[1])["unsynced"] > 0
    assert yjs.vector(at_alice[0]) != yjs.vector(elsewhere[0])

    disk.free(alice)
    wait_converged(yjs, mesh, docs, name)
    until(lambda: yjs.status(at_alice[1])["unsynced"] == 0, "it knows that it is stored")
    for doc in docs:
        status = yjs.status(doc)
        assert (status["opens"], status["closes"]) == (1, []), status
    alice.kill()
    alice.start().wait_ready()
    wait_converged(yjs, mesh, docs, name)


def store_is_up(node: Node) -> bool:
    (check,) = (check for check in node.ask("GET", "ready").json["checks"] if check["name"] == "store")
    return bool(check["ready"])


def test_who_reads_slowly_is_neither_dropped_nor_sent_everything_and_nobody_waits(
    yjs: YjsClients, mesh: Mesh, is_long: bool
) -> None:
    name, writer, reader, slow = "notes/slow", 0, 1, (2, 3)
    url = mesh.urls[0]
    with Line(free_address(), url.removeprefix("ws://"), rate=RATE) as line:
        for doc, kind, where in ((writer, KINDS[0], mesh.urls[1]), (reader, KINDS[1], url)):
            yjs.open(doc, random.getrandbits(32))
            yjs.connect(doc, kind, where, name)
        for doc, kind in zip(slow, KINDS, strict=True):
            yjs.open(doc, random.getrandbits(32))
            yjs.connect(doc, kind, f"ws://{line.address}", name)
        wait_synced(yjs, [writer, reader, *slow])
        written, ends = 0, time.monotonic() + (60 if is_long else 6)
        while time.monotonic() < ends or written < 10e6:
            yjs.set(writer, f"k{written % 5}", VALUE_BYTES)
            written += VALUE_BYTES
            until(lambda: yjs.vector(reader) == yjs.vector(writer), "nobody waits for who is slow")
        assert all(yjs.vector(doc) != yjs.vector(writer) for doc in slow)
        wait_converged(yjs, mesh, [writer, reader, *slow], name)
        assert line.passed_bytes < written  # of the two together
        for doc in slow:
            status = yjs.status(doc)
            assert (status["opens"], status["closes"], status["unsynced"]) == (1, [], 0), status
