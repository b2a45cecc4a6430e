"""A document is no larger than a peer can take in; and if it is, the others do not suffer."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
from fakes.replicas import Replica, linked, until_equal
from trio.testing import MockClock

from peatd.errors import PeatError, TooLarge
from peatd.names import DocumentKey, DocumentName

NOTES = DocumentName("notes/today")
LARGE = DocumentName("large/one")

Failed = Callable[[PeatError], object]


async def test_a_document_that_is_too_large_takes_no_more_writes(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with Replica("alice", random.Random(1)).running() as alice:
        monkeypatch.setattr(alice.documents, "max_document_bytes", 10_000)
        await alice.library.put(LARGE, {"text": "x" * 10_000}, if_match=None)
        update = await alice.library.diff(LARGE, b"\x00")
        with pytest.raises(TooLarge):
            await alice.library.patch(LARGE, {"n": 1}, if_match=None)
        with pytest.raises(TooLarge):
            await alice.library.put(LARGE, {}, if_match=None)
        with pytest.raises(TooLarge):
            await alice.library.apply(LARGE, update)
        await alice.library.delete(LARGE, if_match=None)
        assert (await alice.library.put(LARGE, {"n": 1}, if_match=None)).created


async def test_what_is_too_large_for_a_diff_does_not_hold_up_other_documents(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr("peatd.diffs.MAX_UNCUT_BYTES", 10_000)
    monkeypatch.setattr("peatd.pieces.MAX_UNCUT_BYTES", 10_000)
    seed = random.Random(1)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        await alice.library.put(LARGE, {"text": "x" * 10_000}, if_match=None)
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        async with linked(alice, bob):
            await trio.sleep(100)
            assert await bob.json() == {NOTES: {"n": 1}}
            assert "10000 are sent at most" in str(_error(alice))
            assert alice.links.owed_documents() == 1
            await alice.library.delete(LARGE, if_match=None)
            await until_equal(alice, bob)


async def test_what_the_peer_cannot_take_in_stays_owed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    seed = random.Random(1)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        apply = bob.documents.submit

        def refuse(key: DocumentKey, update: bytes, *, failed: Failed, **rest: Any) -> None:
            if key.name == LARGE:
                failed(TooLarge("the update has too many bytes"))
            else:
                apply(key, update, failed=failed, **rest)

        monkeypatch.setattr(bob.documents, "submit", refuse)
        await alice.library.put(LARGE, {"n": 1}, if_match=None)
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        async with linked(alice, bob):
            for _ in range(100):
                await trio.sleep(1)
                assert alice.links.owed_documents() == 1
            assert await bob.json() == {NOTES: {"n": 1}}
            assert "too many bytes" in str(_error(bob))
            monkeypatch.undo()
            await until_equal(alice, bob)


def _error(replica: Replica) -> str | None:
    (peer,) = replica.peers.all(trio.current_time())
    assert peer.device_id is not None
    link = replica.links.get(peer.device_id)
    return link[1].error if link else None
