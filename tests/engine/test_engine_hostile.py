"""Updates that no Yjs program sends: what is taken of them can be read, encoded and loaded again as the same."""

import json
import random
from pathlib import Path

import pytest

from peatd.engine import engine as engine_module
from peatd.engine.engine import Engine
from peatd.engine.protocol import Apply, Diff, Encoded, Merged, NotOpen, Open, Opened, Read, Refused, Snapshot, Viewed
from peatd.engine.pycrdt import Pycrdt
from peatd.engine.y_py import YPy
from peatd.lib0 import write_uint
from peatd.update import Reach, check

LIBRARIES = {"y-py": YPy, "pycrdt": Pycrdt}
VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "hostile.json").read_text())["vectors"]


def opened(library, *updates: bytes) -> Engine:
    rng = random.Random(1)
    engine = Engine(library(), lambda: rng.getrandbits(32))
    assert isinstance(engine.handle(Open(1, b"", list(updates))), Opened)
    return engine


def digest(update: bytes) -> bytes:
    reach = Reach()
    reach.absorb(check(update, subdocuments=True))
    return reach.digest()


def feed(engine: Engine, updates: list[str]) -> list[bytes]:
    """What was taken of them, as news. A refused update changes nothing, or closes the document."""
    news: list[bytes] = []
    for update in updates:
        match engine.handle(Apply(1, bytes.fromhex(update))):
            case Merged(news=part):
                news.append(part)
            case Refused():
                if isinstance(engine.handle(Read(1)), NotOpen):
                    assert isinstance(engine.handle(Open(1, b"", news)), Opened)
            case other:
                pytest.fail(f"{other}")
    return news


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["what"])
@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
def test_what_was_taken_loads_again_as_the_same(library, vector):
    engine = opened(library)

    news = feed(engine, vector["updates"])

    snapshot, diff = engine.handle(Snapshot(1)), engine.handle(Diff(1, b"\x00"))
    assert isinstance(snapshot, Encoded), snapshot
    assert isinstance(diff, Encoded), diff
    viewed = engine.handle(Read(1))
    assert isinstance(viewed, Viewed), viewed
    for rows in (news, [snapshot.encoded], [diff.encoded]):
        again = opened(library, *rows)
        assert digest(again.handle(Snapshot(1)).encoded) == digest(snapshot.encoded)
        assert again.handle(Read(1)) == viewed


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["what"])
def test_both_libraries_take_the_same(vector):
    one, other = opened(YPy), opened(Pycrdt)

    feed(one, vector["updates"])
    feed(other, vector["updates"])

    assert digest(one.handle(Diff(1, b"\x00")).encoded) == digest(other.handle(Diff(1, b"\x00")).encoded)
    assert one.handle(Read(1)) == other.handle(Read(1))


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
def test_library_that_makes_nonsense_of_an_update_loses_the_copy(library, monkeypatch):
    engine = opened(library)
    copy = engine._documents[1].copy
    monkeypatch.setattr(type(copy), "apply", lambda self, update: b"\x01\x01\x05\x03\x84\x05\x03\x01d\x00")

    refused = engine.handle(Apply(1, b"\x01\x01\x05\x00\x04\x01\x01t\x01a\x00"))

    assert isinstance(refused, Refused)
    assert engine.handle(Read(1)) == NotOpen()


def of_clients(first: int, count: int) -> bytes:
    """A letter of each of so many clients."""
    out = bytearray()
    write_uint(out, count)
    for client in range(first, first + count):
        out.append(1)
        write_uint(out, client)
        out += b"\x00\x04\x01\x01t\x01a"
    return bytes(out + b"\x00")


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
def test_clients_of_a_document_are_bounded(library, monkeypatch):
    monkeypatch.setattr(engine_module, "MAX_DOCUMENT_CLIENTS", 10)
    engine = opened(library)

    assert isinstance(engine.handle(Apply(1, of_clients(1, 6))), Merged)
    refused = engine.handle(Apply(1, of_clients(7, 5)))
    assert isinstance(refused, Refused)
    assert refused.code == "too-large"
    assert isinstance(engine.handle(Apply(1, of_clients(5, 6))), Merged)


@pytest.mark.parametrize(
    "updates",
    [
        ["0101010027010174016b0000", "01030300840100077879f09f98807a47010006a10100040201020001000103010101"],
        ["0101010025010174016b016100"],
        ["0101020024010174016c0362636400", "000102010101"],
        ["01020500280104646174610161017808000500017800"],
    ],
    ids=["two-values", "embed", "cut", "in-a-boolean"],
)
@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
def test_what_no_yjs_program_writes_is_refused(library, updates):
    engine = opened(library)
    *before, last = [bytes.fromhex(update) for update in updates]
    for update in before:
        assert isinstance(engine.handle(Apply(1, update)), Merged)
    refused = engine.handle(Apply(1, last))
    assert isinstance(refused, Refused), refused
    assert refused.code == "malformed"


@pytest.mark.parametrize(
    "updates",
    [
        # y-crdt writes the attribute of an XML element as a text, and sets it again.
        ["0101010024010174016c0362636400", "01010200a401020264650101010003"],
        # A Yjs that keeps what is deleted merges values that were set in a row.
        ["0102010028010174016b027d057d06a80101017d070101010002"],
        # y-crdt says of a piece of a text that it is under a key.
        ["01010100040101740361626300", "01010200e401000101016400", "000101010003"],
    ],
    ids=["attribute", "kept", "piece-of-a-text"],
)
@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
def test_what_yjs_programs_write_under_keys_is_taken(library, updates):
    engine = opened(library)
    for update in updates:
        merged = engine.handle(Apply(1, bytes.fromhex(update)))
        assert isinstance(merged, Merged), (merged, update)
