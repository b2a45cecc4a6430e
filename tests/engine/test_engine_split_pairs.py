"""Programs that cut an emoji in two, as stock Yjs has it: tests/vectors/make_split_pairs.mjs made the vectors."""

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest

from peatd.engine.engine import Engine
from peatd.engine.protocol import Apply, Diff, Encoded, Merged, Open, Opened, Read, Snapshot, Viewed
from peatd.engine.pycrdt import Pycrdt
from peatd.engine.y_py import YPy
from peatd.update import Reach, check, encode_state_vector

LIBRARIES = {"y-py": YPy, "pycrdt": Pycrdt}
VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "split_pairs.json").read_text())["vectors"]


@pytest.fixture(params=LIBRARIES)
def library(request):
    return LIBRARIES[request.param]()


@pytest.fixture(params=VECTORS, ids=lambda vector: vector["what"])
def vector(request):
    return request.param


def opened(library, *updates: bytes) -> Engine:
    rng = random.Random(1)
    engine = Engine(library, lambda: rng.getrandbits(32))
    assert isinstance(engine.handle(Open(1, b"", list(updates))), Opened)
    return engine


def applied(engine: Engine, update: bytes) -> bytes:
    merged = engine.handle(Apply(1, update))
    assert isinstance(merged, Merged), merged
    return merged.news


def text(engine: Engine) -> str:
    viewed = engine.handle(Read(1))
    assert isinstance(viewed, Viewed), viewed
    return viewed.roots["t"]


def digest(update: bytes) -> bytes:
    reach = Reach()
    reach.absorb(check(update, subdocuments=False))
    return reach.digest()


def assert_is_what_yjs_has(engine: Engine, vector) -> None:
    assert text(engine) == vector["text"]
    snapshot = engine.handle(Snapshot(1))
    assert isinstance(snapshot, Encoded), snapshot
    assert digest(snapshot.encoded) == digest(bytes.fromhex(vector["state"]))


def test_one_by_one(library, vector):
    engine = opened(library)

    news = [applied(engine, bytes.fromhex(update)) for update in vector["updates"]]

    assert_is_what_yjs_has(engine, vector)
    assert_is_what_yjs_has(opened(library, *news), vector)
    assert_is_what_yjs_has(opened(library, engine.handle(Snapshot(1)).encoded), vector)


def test_all_at_once(library, vector):
    engine = opened(library)

    news = applied(engine, bytes.fromhex(vector["merged"]))

    assert_is_what_yjs_has(engine, vector)
    assert_is_what_yjs_has(opened(library, news), vector)


def test_between_nodes_of_both_libraries(vector):
    """Each has the same updates from elsewhere: one from the program, one as news, one as a diff."""
    first, second, third = opened(YPy()), opened(Pycrdt()), opened(YPy())
    for update in vector["updates"]:
        applied(second, applied(first, bytes.fromhex(update)))
    applied(third, second.handle(Diff(1, b"\x00")).encoded)

    for engine in (first, second, third):
        assert_is_what_yjs_has(engine, vector)


@pytest.mark.parametrize("clock", range(5))
def test_diff_for_whoever_has_half_of_a_pair(library, clock):
    engine = opened(library, bytes.fromhex("01010500040101740661f09f98806200"))

    diff = engine.handle(Diff(1, encode_state_vector({5: clock}))).encoded

    content = check(diff, subdocuments=False)
    assert content.ends.get(5, 4) == 4
    assert content.starts.get(5, 4) <= clock


def test_log_of_many_cuts_is_opened_in_one_go(library, monkeypatch):
    """Each cut in its own row: opening makes the copy once, not once a row."""
    count = 50
    emojis = ("😀" * count).encode()
    start = b"\x01\x01\x05\x00\x04\x01\x01t" + bytes((0x80 | len(emojis) & 0x7F, len(emojis) >> 7)) + emojis + b"\x00"
    cuts = [bytes((0, 1, 5, 1, 2 * n + 1, 1)) for n in range(count)]
    copies = 0
    new_copy = type(library).new_copy

    def counting(self):
        nonlocal copies
        copies += 1
        return new_copy(self)

    monkeypatch.setattr(type(library), "new_copy", counting)
    engine = opened(library, start, *cuts)

    assert copies == 1
    assert text(engine) == "\ufffd" * count
    assert all(applied(engine, cut) == b"" for cut, _ in pairwise(cuts))
