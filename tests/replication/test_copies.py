"""Documents that are not everywhere: N copies, or where they are asked for."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import pytest
import trio
from fakes.replicas import Replica, linked

from peatd.entry import Copy
from peatd.errors import NoSuchDocument, Unavailable
from peatd.holding import GRACE
from peatd.interest import LINGERS, Copies
from peatd.library import DURABLE, replicated
from peatd.names import DeviceId, DocumentKey, DocumentName
from peatd.peer_copies import PeerCopies
from peatd.sync import PeerSync
from peatd.wire.interest import CopiesTold

BOB = DeviceId("b" * 32)
NAMES = ["alice", "bob", "carol", "dave", "erin"]
NOTES = [DocumentName(f"notes/{number}") for number in range(12)]
THREE = {"notes": Copies(3)}
ASKED = {"notes": Copies(None)}


class Mesh:
    """Nodes that are all linked, each of which may be taken away."""

    def __init__(self, nursery: trio.Nursery, copies: dict[str, Copies], seed: int = 0) -> None:
        self._nursery, self.copies = nursery, copies
        self._seed = random.Random(seed)
        self.replicas: dict[str, Replica] = {}
        self._scopes: dict[str, list[trio.CancelScope]] = {}

    async def add(self, name: str, copies: dict[str, Copies] | None = None, **kwargs: object) -> Replica:
        replica = Replica(name, self._seed, copies=self.copies if copies is None else copies, **kwargs)  # type: ignore[arg-type]
        await self._nursery.start(self._run, replica)
        return replica

    async def _run(self, replica: Replica, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as scope:
            async with replica.running():
                self._scopes[replica.name] = [scope]
                for other in self.replicas.values():
                    self._nursery.start_soon(self._link, replica, other)
                self.replicas[replica.name] = replica
                task_status.started()
                await trio.sleep_forever()

    async def _link(self, one: Replica, other: Replica) -> None:
        with trio.CancelScope() as scope:
            self._scopes[one.name].append(scope)
            self._scopes[other.name].append(scope)
            async with linked(one, other):
                await trio.sleep_forever()

    async def kill(self, name: str) -> Replica:
        for scope in self._scopes.pop(name):
            scope.cancel()
        await trio.sleep(0.01)
        return self.replicas.pop(name)

    def holding(self, name: DocumentName) -> set[str]:
        """Who has more than the name."""
        entries = {n: r.replication.table.get(name) for n, r in self.replicas.items()}
        return {n for n, e in entries.items() if e is not None and not e.deleted and e.copy is not Copy.NAME}

    async def until_placed(self, number: int, names: list[DocumentName] = NOTES) -> None:
        with trio.fail_after(2 * LINGERS + 200):
            while any(len(self.holding(name)) != number for name in names):  # noqa: ASYNC110  # of many nodes
                await trio.sleep(1.0)


@asynccontextmanager
async def mesh(copies: dict[str, Copies], names: list[str] = NAMES, seed: int = 0) -> AsyncIterator[Mesh]:
    async with trio.open_nursery() as nursery:
        made = Mesh(nursery, copies, seed)
        for name in names:
            await made.add(name)
        yield made
        nursery.cancel_scope.cancel()


async def write(replica: Replica, names: list[DocumentName] = NOTES) -> None:
    for name in names:
        await replica.library.put(name, {"by": replica.name, "name": name}, if_match=None)


async def assert_all_readable(each: Mesh, names: list[DocumentName] = NOTES) -> None:
    for replica in each.replicas.values():
        for name in names:
            assert (await replica.library.read(name)).document["name"] == name


@pytest.mark.parametrize("seed", range(3))
async def test_each_document_is_on_three_nodes_and_read_and_written_through_all(
    autojump_clock: object, seed: int
) -> None:
    async with mesh(THREE, seed=seed) as each:
        await write(each.replicas["alice"])
        await each.until_placed(3)
        places = {name: each.holding(name) for name in NOTES}
        assert set.union(*places.values()) == set(NAMES)
        await assert_all_readable(each)
        for replica in each.replicas.values():
            for name in NOTES:
                await replica.library.patch(name, {replica.name: 1}, if_match=None)
        await each.until_placed(3)
        assert {name: each.holding(name) for name in NOTES} == places
        view = await each.replicas["erin"].library.read(NOTES[0])
        assert set(NAMES) < view.document.keys()


async def test_two_nodes_that_die_take_nothing_with_them_and_copies_are_made_anew(autojump_clock: object) -> None:
    async with mesh(THREE) as each:
        await write(each.replicas["alice"])
        await each.until_placed(3)
        await each.kill("alice")
        await each.kill("bob")
        await assert_all_readable(each)
        await trio.sleep(GRACE + 60)
        await each.until_placed(3)


async def test_what_the_only_node_has_that_was_written_to_stays_until_others_have_it(autojump_clock: object) -> None:
    async with mesh(THREE, ["alice"]) as each:
        await write(each.replicas["alice"])
        await trio.sleep(LINGERS + 60)
        for name in NAMES[1:]:
            await each.add(name)
        await each.until_placed(3)
        await assert_all_readable(each)


async def test_a_copy_that_was_let_go_is_no_deletion_and_a_deletion_stays_one(autojump_clock: object) -> None:
    async with mesh(THREE) as each:
        await write(each.replicas["alice"])
        await each.until_placed(3)
        outsider = next(r for n, r in each.replicas.items() if n not in each.holding(NOTES[0]))
        disk = (await each.kill(outsider.name)).disk
        await each.add(outsider.name, disk=disk)
        await trio.sleep(60)
        assert len(each.holding(NOTES[0])) >= 3
        again = each.replicas[outsider.name]
        assert (await again.library.read(NOTES[0])).document["by"] == "alice"
        assert again.library.count() == len(NOTES)
        await again.library.delete(NOTES[1], if_match=None)
        await trio.sleep(60)
        for replica in each.replicas.values():
            with pytest.raises(NoSuchDocument):
                await replica.library.read(NOTES[1])
            assert len(replica.library.list("notes", after=None, limit=100)) == len(NOTES) - 1
        await again.library.put(NOTES[1], {"name": NOTES[1], "again": 1}, if_match=None)
        await each.until_placed(3)
        await assert_all_readable(each)


async def test_where_nobody_asks_two_copies_stay_and_one_who_asks_has_one(autojump_clock: object) -> None:
    async with mesh(ASKED) as each:
        await write(each.replicas["alice"])
        await trio.sleep(60)
        assert each.holding(NOTES[0]) == {"alice"}
        await assert_all_readable(each)
        assert each.holding(NOTES[0]) == set(NAMES)
        await each.until_placed(2)
        await assert_all_readable(each)


async def test_a_pattern_asks_for_documents(autojump_clock: object) -> None:
    async with mesh(ASKED, ["alice", "bob"]) as each:
        await each.add("carol", {"notes": Copies(None, ("1*",))})
        await write(each.replicas["alice"])
        await trio.sleep(30)
        assert {name for name in NOTES if "carol" in each.holding(name)} == {"notes/1", "notes/10", "notes/11"}


async def test_a_node_that_restricts_nothing_has_everything_beside_one_that_does(autojump_clock: object) -> None:
    async with mesh(ASKED, ["alice", "bob"]) as each:
        await each.add("carol", {})
        await write(each.replicas["alice"])
        await trio.sleep(60)
        assert all("carol" in each.holding(name) for name in NOTES)
        await write(each.replicas["carol"], [DocumentName("notes/cloud")])
        await trio.sleep(60)
        assert each.holding(DocumentName("notes/cloud")) == {"carol"}
        view = await each.replicas["bob"].library.read(DocumentName("notes/cloud"))
        assert view.document["by"] == "carol"
        await each.replicas["bob"].library.patch(DocumentName("notes/cloud"), {"x": 1}, if_match=None)
        await trio.sleep(60)
        assert (await each.replicas["carol"].library.read(DocumentName("notes/cloud"))).document["x"] == 1


async def test_what_no_node_has_that_can_be_reached_is_unavailable(autojump_clock: object) -> None:
    async with mesh(ASKED, ["alice", "bob"]) as each:
        await write(each.replicas["alice"])
        await trio.sleep(60)
        await each.kill("alice")
        with pytest.raises(Unavailable):
            await each.replicas["bob"].library.read(NOTES[0])


async def test_a_rung_counts_those_who_hold_the_document(autojump_clock: object) -> None:
    async with mesh(THREE) as each:
        await write(each.replicas["alice"])
        await each.until_placed(3)
        name = next(iter(NAMES[index] for index in range(5) if NAMES[index] not in each.holding(NOTES[0])))
        library = each.replicas[name].library
        written = await library.patch(NOTES[0], {"x": 1}, if_match=None)
        assert await library.acknowledged(written, replicated(3), 30) >= replicated(3)
        assert await library.acknowledged(written, DURABLE, 30) == DURABLE
        await trio.sleep(60)
        assert not any(replica.links.owed_documents() for replica in each.replicas.values())


@pytest.mark.parametrize("seed", range(3))
async def test_who_got_it_from_another_node_counts_too(autojump_clock: object, seed: int) -> None:
    async with mesh(THREE, seed=seed) as each:
        await trio.sleep(10)
        for name in NOTES:
            library = each.replicas["bob"].library
            written = await library.put(name, {"name": name}, if_match=None)
            assert await library.acknowledged(written, replicated(2), 10) >= replicated(2)


async def test_what_was_refused_is_told_though_all_of_it_has_come_since(autojump_clock: object) -> None:
    async with mesh(ASKED, ["alice"]) as each:
        replication = each.replicas["alice"].replication
        sync = PeerSync(BOB, replication.table)
        copies = PeerCopies(replication, sync, BOB, frozenset({"notes"}))
        key = DocumentKey(NOTES[0], 1)
        entry = replication.begin(key, BOB, by_name=True)
        assert copies.refuses(key)
        entry.copy = Copy.WHOLE
        copies.copied(entry)
        refusal, news = copies.take()
        assert isinstance(refusal, CopiesTold)
        assert isinstance(news, CopiesTold)
        assert (refusal.copies[0].digest, news.copies[0].digest) == (b"", entry.reach.digest())


async def test_in_a_mesh_that_is_not_full_every_node_holds_and_reads_everything(autojump_clock: object) -> None:
    seed = random.Random(0)
    chain = [Replica(name, seed, copies=THREE, max_links=2) for name in NAMES]
    async with AsyncExitStack() as stack:
        for replica in chain:
            await stack.enter_async_context(replica.running())
        for one, other in pairwise(chain):
            await stack.enter_async_context(linked(one, other))
        await trio.sleep(10)
        await write(chain[0])
        for name in NOTES:
            assert (await chain[-1].library.read(name)).document["by"] == "alice"
        await trio.sleep(2 * LINGERS)
        assert {replica.replication.table.get(name).copy for replica in chain for name in NOTES} == {Copy.WHOLE}  # type: ignore[union-attr]
        assert not any(replica.links.owed_documents() for replica in chain)
