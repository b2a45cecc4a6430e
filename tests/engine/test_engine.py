"""The acceptance suite of an engine: both CRDT libraries pass it."""

import random
import weakref

import pytest

from peatd.engine.engine import Engine
from peatd.engine.protocol import (
    Apply,
    BadRow,
    Close,
    Diff,
    Done,
    Encoded,
    Merged,
    NotOpen,
    Open,
    Opened,
    Patch,
    Put,
    Read,
    Refused,
    Snapshot,
    Viewed,
)
from peatd.engine.pycrdt import Pycrdt
from peatd.engine.y_py import YPy
from peatd.update import Reach, check

LIBRARIES = {"y-py": YPy, "pycrdt": Pycrdt}


@pytest.fixture(params=LIBRARIES)
def library(request):
    return LIBRARIES[request.param]()


@pytest.fixture
def engine(library):
    return opened(library)


def opened(library, *updates: bytes, seed: int = 1) -> Engine:
    rng = random.Random(seed)
    engine = Engine(library, lambda: rng.getrandbits(32))
    assert isinstance(engine.handle(Open(1, b"", list(updates))), Opened)
    return engine


def read(engine: Engine) -> dict:
    viewed = engine.handle(Read(1))
    assert isinstance(viewed, Viewed)
    return viewed.document


def test_put_then_read(engine):
    value = {
        "a": 1,
        "b": 1.5,
        "c": "words",
        "d": None,
        "e": True,
        "f": [1, {"x": [None]}],
        "g": {"h": {"i": 2}, "j": {}},
    }

    merged = engine.handle(Put(1, value))

    assert isinstance(merged, Merged)
    assert merged.content() == check(merged.news, subdocuments=False)
    assert read(engine) == value
    assert isinstance(read(engine)["a"], int)


def test_put_of_the_same_is_no_news(engine):
    value = {"a": 1, "f": [1, {"x": None}], "g": {"h": {"i": 2}, "j": {}}}
    engine.handle(Put(1, value))

    assert engine.handle(Put(1, value)).news == b""
    assert engine.handle(Patch(1, {"g": {"h": {"i": 2.0}}, "zz": None})).news == b""


def test_patch_is_rfc_7396(engine):
    engine.handle(Put(1, {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": "x"}))
    engine.handle(Patch(1, {"a": {"b": None, "n": {"m": None, "o": 1}}, "d": [3], "e": None, "f": {"g": 5}}))

    assert read(engine) == {"a": {"c": 2, "n": {"o": 1}}, "d": [3], "f": {"g": 5}}


def test_apply_diff_snapshot_and_reload(library):
    alice = opened(library)
    news = alice.handle(Put(1, {"k": "v"})).news
    bob = opened(library, seed=2)

    assert bob.handle(Apply(1, news)).news == news
    assert bob.handle(Apply(1, news)).news == b""
    assert read(bob) == {"k": "v"}
    assert bob.handle(Diff(1, b"\x00")) == Encoded(news)
    snapshot = bob.handle(Snapshot(1)).encoded
    assert read(opened(library, snapshot)) == {"k": "v"}


def test_a_snapshot_leaves_nothing_of_what_was_deleted_in_memory(library):
    engine = opened(library)
    engine.handle(Put(1, {"k": "mellon"}))
    engine.handle(Put(1, {"k": "friend"}))
    before = engine.handle(Diff(1, b"\x00")).encoded

    snapshot = engine.handle(Snapshot(1)).encoded

    kept = engine.handle(Diff(1, b"\x00")).encoded
    assert b"mellon" not in kept
    assert check(kept, subdocuments=False) == check(before, subdocuments=False) == check(snapshot, subdocuments=False)
    assert read(engine) == {"k": "friend"}


def test_edits_after_a_snapshot_are_by_the_same_client(library):
    engine = opened(library)
    for number in range(5):
        engine.handle(Put(1, {"k": number, "nested": {"n": number}}))
        engine.handle(Snapshot(1))

    (client,) = check(engine.handle(Diff(1, b"\x00")).encoded, subdocuments=False).ends
    assert read(engine) == {"k": 4, "nested": {"n": 4}}
    assert read(opened(library, engine.handle(Snapshot(1)).encoded)) == {"k": 4, "nested": {"n": 4}}
    assert list(check(engine.handle(Put(1, {"k": 5})).news, subdocuments=False).ends) == [client]


def test_edits_go_on_as_the_client_of_before_only_where_all_of_it_is_there(library):
    alice = opened(library)
    first, second = (alice.handle(Put(1, {"k": number})) for number in range(2))
    ((client, clock),) = second.ends.items()
    whole, part = opened(library, seed=2), opened(library, seed=3)
    whole.handle(Open(2, b"", [first.news, second.news], client, clock))
    part.handle(Open(2, b"", [first.news], client, clock))

    assert list(whole.handle(Put(2, {"k": 7})).ends) == [client]
    assert list(part.handle(Put(2, {"k": 8})).ends) != [client]


def test_update_that_builds_on_what_is_not_here_is_refused_with_our_state_vector(library):
    alice = opened(library)
    alice.handle(Put(1, {"k": 1}))
    second = alice.handle(Put(1, {"k": 2})).news
    bob = opened(library, seed=2)

    refused = bob.handle(Apply(1, second))

    assert isinstance(refused, Refused)
    assert (refused.code, refused.state_vector) == ("missing", b"\x00")
    assert read(bob) == {}


def test_malformed_update_is_refused(engine):
    assert engine.handle(Apply(1, b"\xff\xff\xff\x7f")).code == "malformed"
    assert engine.handle(Diff(1, b"\xff")).code == "malformed"


def test_closed_document_is_not_open(engine):
    assert engine.handle(Close(1)) == Done()
    assert engine.handle(Read(1)) == NotOpen()


def test_copy_that_is_closed_is_freed(library):
    copy = library.new_copy()
    observer = weakref.ref(copy._news)  # which the library holds as long as it holds the document
    assert observer()

    del copy

    assert observer() is None


def test_open_names_the_bad_row(library):
    engine = Engine(library, lambda: 5)

    bad = engine.handle(Open(1, b"", [b"\x00\x00", b"\x01"]))

    assert isinstance(bad, BadRow)
    assert bad.index == 1


@pytest.mark.parametrize("make", LIBRARIES.values(), ids=LIBRARIES)
@pytest.mark.parametrize("other", LIBRARIES.values(), ids=LIBRARIES)
def test_concurrent_patches_of_different_nested_fields_both_survive(make, other):
    start = opened(make()).handle(Put(1, {"a": {"x": 0, "y": 0}})).news
    alice, bob = opened(make(), start, seed=2), opened(other(), start, seed=3)

    from_alice = alice.handle(Patch(1, {"a": {"x": 1}})).news
    from_bob = bob.handle(Patch(1, {"a": {"y": 2}})).news
    alice.handle(Apply(1, from_bob))
    bob.handle(Apply(1, from_alice))

    assert read(alice) == read(bob) == {"a": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    "value",
    [{"n": 2**53}, {"n": -(2**53)}, {"n": float("nan")}, {"n": [float("inf")]}, {"n": b"bytes"}],
    ids=str,
)
def test_json_that_a_document_cannot_hold_is_refused_and_changes_nothing(engine, value):
    engine.handle(Put(1, {"k": 1}))

    assert engine.handle(Put(1, {"k": 2, **value})).code == "invalid"
    assert engine.handle(Patch(1, {"k": 2, **value})).code == "invalid"
    assert read(engine) == {"k": 1}


def test_deep_json_is_refused(engine):
    deep: dict = {}
    for _ in range(65):
        deep = {"d": deep}

    assert engine.handle(Put(1, deep)).code == "invalid"


def test_news_add_up_to_the_reach(engine):
    reach = Reach()
    for edit in ({"a": 1}, {"a": 2, "b": {"c": 1}}, {"b": {"c": 2}}, {}):
        reach.absorb(engine.handle(Put(1, edit)).content())
    whole = Reach()
    whole.absorb(check(engine.handle(Snapshot(1)).encoded, subdocuments=False))

    assert whole.digest() == reach.digest()
