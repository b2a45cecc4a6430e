"""Damaged databases: whatever is done to the files, opening is an error that has a name or succeeds, and what is then
loaded is what was once recorded, for that document, or is missing."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.logs import log_of
from hypothesis import settings

from peatd.errors import StoreError
from peatd.names import DocumentKey, DocumentName
from peatd.store import Store

DOCUMENTS = 25
SEEDS = [*range({"short": 20, "long": 20_000}.get(settings.get_current_profile_name(), 10)), 1014, 1119, 1220]
"""Those behind the range once ended in another error."""


def key_of(number: int) -> DocumentKey:
    return DocumentKey(DocumentName(f"notes/{number}"), 1)


class Recorded:
    """A database as a crash or an orderly stop leaves it, and what was recorded in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.updates: dict[DocumentName, set[bytes]] = {}

    async def make(self, chance: random.Random, scratch: Path) -> None:
        async with Store.open(scratch) as store:
            for turn in range(DOCUMENTS * 4):
                key = key_of(chance.randrange(DOCUMENTS))
                update = b"%d of %s " % (turn, key.name.encode()) * chance.choice((1, 5, 300))
                self.updates.setdefault(key.name, set()).add(update)
                store.record(key, update)
                if chance.random() < 0.1:
                    snapshot = b"snapshot %d of %s " % (turn, key.name.encode())
                    self.updates[key.name].add(snapshot)
                    store.fold(key, snapshot, through=store.last_seq, reach=b"reach")
                if chance.random() < 0.1:
                    store.set_incarnation(key_of(1000 + turn).name, 1, deleted=True)
            await store.synced(store.last_seq)
            if chance.random() < 0.5:
                shutil.copytree(scratch, self.directory)  # with all of it in the write-ahead log, as in a crash
        if not self.directory.exists():
            shutil.copytree(scratch, self.directory)

    async def check(self) -> int:
        """How many documents can be loaded."""
        async with Store.open(self.directory) as store:
            found = 0
            for document in store.documents():
                recorded = self.updates.get(document.name, set())
                assert set(document.tail) <= recorded
                try:
                    stored = await log_of(store, DocumentKey(document.name, document.incarnation))
                except StoreError:
                    continue
                held = {update.update for update in stored.updates} | ({stored.snapshot} if stored.snapshot else set())
                assert held <= recorded, document.name
                found += 1
            return found


def damage(chance: random.Random, directory: Path) -> Iterator[str]:
    """Does what disks do, to some files; says what."""
    files = sorted(path for path in directory.iterdir() if path.name.startswith("peat.db"))
    for _ in range(chance.randint(1, 4)):
        path = chance.choice(files)
        size_bytes = path.stat().st_size
        if not size_bytes:
            continue
        place = chance.randrange(size_bytes)
        kind = chance.choice(("flip", "zero", "junk", "cut", "swap"))
        contents = bytearray(path.read_bytes())
        match kind:
            case "flip":
                contents[place] ^= 1 << chance.randrange(8)
            case "zero":
                contents[place : place + 4096] = bytes(len(contents[place : place + 4096]))
            case "junk":
                contents[place : place + 16] = chance.randbytes(len(contents[place : place + 16]))
            case "cut":
                del contents[place:]
            case "swap":
                other = chance.randrange(size_bytes) // 4096 * 4096
                contents[other : other + 4096] = contents[place // 4096 * 4096 :][:4096]
        path.write_bytes(contents)
        yield f"{kind} {path.name} at {place}"


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_made_up(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    recorded = Recorded(tmp_path / "damaged")
    scratch = tmp_path / "whole"
    scratch.mkdir()
    await recorded.make(chance, scratch)
    print(*damage(chance, recorded.directory), sep="\n")
    for _ in range(3):
        try:
            await recorded.check()
        except* StoreError:
            pass  # said by name, and perhaps by the writer, hence in a group
