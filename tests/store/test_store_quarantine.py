"""What was set aside: kept for inspection, bounded, and out of the way."""

import hashlib
from pathlib import Path

import pytest
from fakes.logs import updates_of
from structlog.testing import capture_logs

from peatd.names import DocumentKey, DocumentName
from peatd.store import Store, writing

NOTES = DocumentName("notes/today")
KEY = DocumentKey(NOTES, 1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "peat"


async def test_what_is_set_aside_can_be_inspected_and_a_row_leaves_the_log(directory: Path) -> None:
    damaged: list[DocumentKey] = []
    async with Store.open(directory) as store:
        store.watch_damage(damaged.append)
        poison = store.record(KEY, b"poison")
        seq = store.record(KEY, b"good")
        store.checkpoint(KEY, b"reach of both")
        store.quarantine(KEY, b"never stored", origin="peer peat-mesh-1", reason="killed the engine")
        assert damaged == []
        store.quarantine(KEY, b"poison", origin="store", reason="hung the engine", seq=poison)
        assert damaged == [KEY]
        assert await updates_of(store, KEY) == [b"good"]
        await store.synced(seq)
    async with Store.open(directory) as store:
        assert store.quarantined_count == 2
        entries = await store.quarantined()
        (document,) = store.documents()
    assert [(entry.origin, entry.reason, entry.size_bytes, entry.times) for entry in entries] == [
        ("peer peat-mesh-1", "killed the engine", 12, 1),
        ("store", "hung the engine", 6, 1),
    ]
    assert entries[0].sha256 == hashlib.sha256(b"never stored").hexdigest()
    assert document.reach == b"", "the checkpoint counted the poison in"
    assert document.tail == (b"good",)


async def test_the_same_poison_again_is_counted_and_kept_once(directory: Path) -> None:
    async with Store.open(directory) as store:
        for number in range(3):
            store.quarantine(KEY, b"poison", origin=f"peer {number}", reason="killed the engine")
        await store.synced(store.record(KEY, b""))
        (entry,) = await store.quarantined()
    assert (entry.times, entry.origin) == (3, "peer 2")


async def test_what_is_set_aside_is_said_once_in_the_log(directory: Path) -> None:
    async with Store.open(directory) as store:
        with capture_logs() as lines:
            for reason in ("killed the engine", "killed the engine", "hung the engine"):
                store.quarantine(KEY, b"poison", origin="api", reason=reason)
    assert [(line["event"], line["log_level"], line["reason"]) for line in lines] == [
        ("update_quarantined", "error", "killed the engine"),
        ("update_quarantined", "error", "hung the engine"),
    ]
    assert "poison" not in str(lines)


async def test_the_quarantine_keeps_the_newest_and_counts_the_rest(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "QUARANTINE_BYTES", 250)
    async with Store.open(directory) as store:
        for number in range(5):
            store.quarantine(KEY, bytes([number]) * 100, origin="peer", reason=f"number {number}")
        await store.synced(store.record(KEY, b""))
        assert [entry.reason for entry in await store.quarantined()] == ["number 3", "number 4"]
    async with Store.open(directory) as store:
        assert store.quarantined_count == 5
