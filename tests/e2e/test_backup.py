"""Backups as the guide has them: a node that joins, has everything, leaves in order and sleeps."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from e2e.nodes import Formation, Node, document_names, until, up, wait_equal

MANY = 200


def write_many(node: Node) -> None:
    for n in range(MANY):
        node.write("PUT", f"backup/{n}", {"n": n, "text": "x" * 2000})


def has_all(backup: Node, mesh: list[Node]) -> bool:
    """What the guide has the operator compare."""
    return len({node.get("node")["digest"] for node in (backup, *mesh)}) == 1


def joining(formation: Formation, mesh: list[Node], directory: Path | None = None) -> Node:
    """A node that lists one of them; with the data directory of another, where one is given."""
    node = formation.node("backup", peers=[mesh[0].mesh])
    if directory is not None:
        shutil.copytree(directory, node.directory)
    return node.start().wait_ready()


def test_a_mesh_that_is_gone_comes_back_from_a_node_that_slept(formation: Formation) -> None:
    mesh = formation.mesh("alice", "bob")
    up(*mesh)
    write_many(mesh[1])
    mesh[0].write("DELETE", "backup/0")
    backup = joining(formation, mesh)
    until(lambda: has_all(backup, mesh), "the backup has everything")
    assert len(document_names(backup)) == MANY - 1
    backup.stop()
    for node in mesh:
        node.kill()
        shutil.rmtree(node.directory)

    up(*mesh)
    assert document_names(mesh[0]) == []
    restoring = joining(formation, mesh, backup.directory)
    until(lambda: len(document_names(mesh[1])) == MANY - 1, "everything is back")
    wait_equal([*mesh, restoring], *(f"backup/{n}" for n in range(0, MANY, 20)))
    restoring.stop()


def test_an_old_backup_undoes_nothing_in_a_mesh_that_went_on(formation: Formation) -> None:
    mesh = formation.mesh("alice", "bob")
    up(*mesh)
    mesh[0].write("PUT", "backup/kept", {"n": 1})
    mesh[0].write("PUT", "backup/gone", {"n": 1})
    backup = joining(formation, mesh)
    until(lambda: has_all(backup, mesh), "the backup has both")
    assert len(document_names(backup)) == 2
    backup.stop()
    mesh[0].write("PATCH", "backup/kept", {"n": 2}, "?ack=replicated:1")
    mesh[0].write("DELETE", "backup/gone", query="?ack=replicated:1")

    restoring = joining(formation, mesh, backup.directory)
    wait_equal([*mesh, restoring], "backup/kept", "backup/gone")
    assert restoring.document("backup/kept") == {"n": 2}
    assert document_names(restoring) == ["backup/kept"]
    restoring.stop()


def test_a_copy_that_sqlite_makes_of_a_running_store_is_one(formation: Formation, tmp_path: Path) -> None:
    """The other way, without a second node. Copying the files would not do: they change while they are copied."""
    alice = formation.node("alice").start().wait_ready()
    write_many(alice)
    copied = formation.node("copy")
    copied.directory.mkdir()
    with (
        closing(sqlite3.connect(f"file:{alice.directory / 'peat.db'}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copied.directory / "peat.db")) as target,
    ):
        source.backup(target)
    alice.kill()
    copied.start().wait_ready()
    assert len(document_names(copied)) == MANY
    assert not copied.has_logged("store_damaged")
