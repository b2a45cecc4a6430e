"""What a stock Yjs redoes beside what it has redone: tests/vectors/make_redone.mjs made the vectors.

Yjs itself puts it elsewhere on other copies; here all have what the author has."""

import json
import random
from pathlib import Path

import pytest

from peatd.engine.engine import Engine
from peatd.engine.library import Library
from peatd.engine.protocol import Apply, Encoded, Merged, Open, Opened, Read, Snapshot, Viewed
from peatd.engine.pycrdt import Pycrdt
from peatd.engine.y_py import YPy
from peatd.structs import each_struct

LIBRARIES = {"y-py": YPy, "pycrdt": Pycrdt}
VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "redone.json").read_text())["vectors"]


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Library:
    return LIBRARIES[request.param]()


@pytest.fixture(params=VECTORS, ids=lambda vector: vector["what"])
def vector(request: pytest.FixtureRequest) -> dict[str, object]:
    return request.param


def opened(library: Library, *rows: bytes) -> Engine:
    rng = random.Random(1)
    engine = Engine(library, lambda: rng.getrandbits(32))
    assert isinstance(engine.handle(Open(1, b"", list(rows))), Opened)
    return engine


def applied(engine: Engine, update: str) -> bytes:
    merged = engine.handle(Apply(1, bytes.fromhex(update)))
    assert isinstance(merged, Merged), merged
    return merged.news


def array(engine: Engine) -> object:
    viewed = engine.handle(Read(1))
    assert isinstance(viewed, Viewed), viewed
    return viewed.document["k"]


def names_a_neighbour_twice(update: bytes) -> bool:
    return any(struct.origins[:1] == struct.origins[1:] != [] for struct in each_struct(update))


def test_all_have_what_its_author_has(library, vector):
    assert names_a_neighbour_twice(bytes.fromhex(vector["state"]))

    by_updates = opened(library)
    news = [applied(by_updates, update) for update in vector["updates"]]
    by_state = opened(library)
    at_once = applied(by_state, vector["state"])

    snapshot = by_updates.handle(Snapshot(1))
    assert isinstance(snapshot, Encoded)
    copies = [by_updates, by_state, opened(library, *news), opened(library, at_once), opened(library, snapshot.encoded)]
    assert [array(copy) for copy in copies] == [vector["array"]] * len(copies)


def test_what_others_are_told_leaves_no_choice(library, vector):
    engine = opened(library)

    assert not any(names_a_neighbour_twice(applied(engine, update)) for update in vector["updates"])
    assert not names_a_neighbour_twice(applied(opened(library), vector["state"]))


def test_an_author_who_sends_it_again_brings_nothing_new(library, vector):
    engine = opened(library)
    for update in vector["updates"]:
        applied(engine, update)

    assert applied(engine, vector["state"]) == b""
