"""Whatever is done to a store, in whatever order, however often it is reopened: it holds what a simple model holds."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from fakes.logs import log_of
from hypothesis import given, settings
from hypothesis import strategies as st

from peatd.names import DocumentKey, DocumentName
from peatd.store import Store, StoredUpdate

NAMES = [DocumentName("notes/a"), DocumentName("notes/b")]


@dataclass
class LifeModel:
    incarnation: int
    deleted: bool
    updates: dict[int, bytes] = field(default_factory=dict)
    snapshot: bytes | None = None
    through: int = 0
    reach: bytes = b""
    reach_seq: int = 0
    born: int = 0
    aged: int = 0

    def tail(self) -> tuple[bytes, ...]:
        snapshot = (self.snapshot,) if self.snapshot is not None and self.through > self.reach_seq else ()
        return (*snapshot, *(update for seq, update in self.updates.items() if seq > self.reach_seq))


@dataclass(frozen=True)
class Record:
    key: DocumentKey
    update: bytes


@dataclass(frozen=True)
class Change:
    key: DocumentKey
    deleted: bool
    aged: int


@dataclass(frozen=True)
class Forget:
    key: DocumentKey


@dataclass(frozen=True)
class Note:
    topic: str
    text: bytes


@dataclass(frozen=True)
class Check:
    key: DocumentKey
    reach: bytes


@dataclass(frozen=True)
class FoldBack:
    key: DocumentKey
    back: int
    snapshot: bytes


@dataclass(frozen=True)
class Poison:
    name: DocumentName


@dataclass(frozen=True)
class Sync:
    pass


@dataclass(frozen=True)
class Look:
    key: DocumentKey


keys = st.builds(DocumentKey, st.sampled_from(NAMES), st.integers(1, 3))
payloads = st.binary(max_size=20)
steps = st.one_of(
    st.builds(Record, keys, payloads),
    st.builds(Record, keys, payloads),
    st.builds(Change, keys, st.booleans(), st.integers(0, 9)),
    st.builds(Forget, keys),
    st.builds(Note, st.sampled_from(["a", "b"]), payloads),
    st.builds(Check, keys, payloads),
    st.builds(FoldBack, keys, st.integers(0, 4), payloads),
    st.builds(Poison, st.sampled_from(NAMES)),
    st.builds(Sync),
    st.builds(Look, keys),
)


class StoreModel:
    """A dictionary of lives; the store's promises, spelled out."""

    def __init__(self) -> None:
        self.lives: dict[DocumentName, LifeModel] = {}
        self.notes: dict[str, bytes] = {}

    def change(self, key: DocumentKey, deleted: bool, store: Store, aged: int = 0) -> None:
        life = self.lives.get(key.name)
        if life and (key.incarnation, deleted) <= (life.incarnation, life.deleted):
            return
        self.lives[key.name] = LifeModel(key.incarnation, deleted, born=store.last_seq + 1, aged=aged)

    def alive(self, key: DocumentKey) -> LifeModel | None:
        life = self.lives.get(key.name)
        return life if life and life.incarnation == key.incarnation and not life.deleted else None

    async def do(self, step: object, store: Store) -> None:
        match step:
            case Record(key, update):
                self.change(key, False, store)
                seq = store.record(key, update)
                if life := self.alive(key):
                    life.updates[seq] = update
            case Change(key, deleted, aged):
                self.change(key, deleted, store, aged)
                store.set_incarnation(key.name, key.incarnation, deleted=deleted, aged=aged)
            case Forget(key):
                life = self.lives.get(key.name)
                if life and (life.incarnation, life.deleted) == (key.incarnation, True):
                    del self.lives[key.name]
                store.forget(key)
            case Note(topic, text):
                self.notes[topic] = text
                store.note(topic, text)
            case Check(key, reach):
                life = self.lives.get(key.name)
                if life and life.incarnation == key.incarnation:
                    life.reach, life.reach_seq = reach, store.last_seq
                store.checkpoint(key, reach)
            case FoldBack(key, back, snapshot) if store.last_seq:
                self.fold(key, max(1, store.last_seq - back), snapshot, store)
            case Poison(name):
                self.poison(name, store)
            case Sync():
                await store.synced(store.last_seq)
            case Look(key):
                await self.compare(key, store)

    def fold(self, key: DocumentKey, through: int, snapshot: bytes, store: Store) -> None:
        store.fold(key, snapshot, through=through, reach=b"folded")
        life = self.alive(key)
        if not life or through < life.through:
            return
        life.snapshot, life.through = snapshot, through
        life.updates = {seq: update for seq, update in life.updates.items() if seq > through}
        if life.reach_seq <= through:
            life.reach, life.reach_seq = b"folded", through

    def poison(self, name: DocumentName, store: Store) -> None:
        life = self.lives.get(name)
        if not life or not life.updates:
            return
        seq, update = life.updates.popitem()
        store.quarantine(DocumentKey(name, life.incarnation), update, origin="engine", reason="it hung", seq=seq)
        if life.reach_seq >= seq:
            life.reach, life.reach_seq = b"", 0

    async def compare(self, key: DocumentKey, store: Store) -> None:
        log, life = await log_of(store, key), self.alive(key)
        assert log.damaged == 0
        assert log.snapshot == (life.snapshot if life else None)
        assert log.updates == tuple(StoredUpdate(*item) for item in life.updates.items()) if life else log.updates == ()

    def compare_opening(self, store: Store) -> None:
        found = {document.name: document for document in store.documents()}
        assert found.keys() == self.lives.keys()
        assert store.notes == self.notes
        assert store.is_whole
        for name, life in self.lives.items():
            document = found[name]
            assert (document.incarnation, document.deleted) == (life.incarnation, life.deleted)
            assert (document.reach, document.tail) == (life.reach, life.tail())
            assert (document.born, document.aged) == (life.born, life.aged)
            assert document.changed >= max([life.born, *life.updates])
            tail_bytes = sum(map(len, life.updates.values()))
            assert document.size_bytes == store.size_bytes(name) == len(life.snapshot or b"") + tail_bytes
            assert store.tail_bytes(name) == tail_bytes
            assert store.tail_rows(name) == len(life.updates)


@settings(max_examples=60, deadline=None)
@given(openings=st.lists(st.lists(steps, max_size=15), min_size=1, max_size=4))
async def test_the_store_holds_what_the_model_holds(openings: list[list[object]]) -> None:
    model = StoreModel()
    with tempfile.TemporaryDirectory() as directory:
        for opening in [*openings, []]:
            async with Store.open(Path(directory)) as store:
                model.compare_opening(store)
                for step in opening:
                    await model.do(step, store)
                for name in NAMES:
                    for incarnation in (1, 2, 3):
                        await model.compare(DocumentKey(name, incarnation), store)
