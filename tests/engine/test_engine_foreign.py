"""Documents that other Yjs programs write, in both CRDT libraries."""

import json
import random
from pathlib import Path

import pytest
import y_py

from peatd.engine.engine import Engine
from peatd.engine.protocol import (
    Apply,
    Diff,
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
    viewed,
)
from peatd.engine.pycrdt import Pycrdt
from peatd.engine.y_py import YPy
from peatd.update import Reach, check

LIBRARIES = {"y-py": YPy, "pycrdt": Pycrdt}
YJS = json.loads((Path(__file__).parent.parent / "vectors" / "yjs_document.json").read_text())


def opened(library, *updates: bytes, seed: int = 1) -> Engine:
    rng = random.Random(seed)
    engine = Engine(library, lambda: rng.getrandbits(32))
    assert isinstance(engine.handle(Open(1, b"", list(updates))), Opened)
    return engine


@pytest.fixture(params=LIBRARIES)
def library(request):
    return LIBRARIES[request.param]()


@pytest.fixture
def engine(library):
    return opened(library, bytes.fromhex(YJS["hex"]))


def test_everything_that_yjs_can_write_reads_as_json(engine):
    assert engine.handle(Read(1)) == viewed(YJS["document"], YJS["roots"])


def test_writing_back_what_was_read_is_no_news(engine):
    assert engine.handle(Put(1, YJS["document"])).news == b""
    for key, value in YJS["document"].items():
        if value is not None:
            assert engine.handle(Patch(1, {key: value})).news == b""


def test_plain_objects_and_shared_types_can_be_replaced(engine):
    engine.handle(Patch(1, {"plain": {"a": {"b": 2}}, "arr": [1], "text": "other", "frag": None, "bin": {"x": {}}}))

    document = engine.handle(Read(1)).document
    assert {key: document.get(key) for key in ("plain", "arr", "text", "frag", "bin")} == {
        "plain": {"a": {"b": 2}, "n": 1},
        "arr": [1],
        "text": "other",
        "frag": None,
        "bin": {"x": {}},
    }


def update(*structs: bytes, client: int = 5, clock: int = 0) -> bytes:
    return bytes((1, len(structs), client, clock)) + b"".join(structs) + b"\x00"


ARRAY_IN_DATA = update(b"\x08\x01\x04data\x01\x7d\x05")
KEY_IN_DATA = update(b"\x28\x01\x04data\x01k\x01\x7d\x07", client=6)


def test_data_that_is_no_map_is_shown_beside_and_not_edited(library):
    engine = opened(library, ARRAY_IN_DATA)

    assert engine.handle(Read(1)) == viewed({}, {"data": [5]})
    assert engine.handle(Put(1, {"a": 1})).code == "invalid"


def test_root_whose_kind_turns_out_otherwise_is_opened_anew(library):
    engine = opened(library, ARRAY_IN_DATA)
    engine.handle(Read(1))

    engine.handle(Apply(1, KEY_IN_DATA))

    assert engine.handle(Read(1)) == viewed({"k": 7}, {})
    assert isinstance(engine.handle(Put(1, {"k": 8})), Merged)


def test_structs_that_refer_to_each_other_in_a_circle_are_refused(library):
    engine = opened(library, KEY_IN_DATA)
    circle = b"\x02" + b"\x01\x09\x00\x84\x08\x00\x01a" + b"\x01\x08\x00\x84\x09\x00\x01b" + b"\x00"

    assert engine.handle(Apply(1, circle)).code == "malformed"
    assert engine.handle(Read(1)) == NotOpen()


def test_y_py_is_never_given_a_subdocument():
    subdocument = update(b"\x29\x01\x04data\x01k\x01g\x76\x00")

    assert opened(YPy()).handle(Apply(1, subdocument)).code == "malformed"
    assert opened(Pycrdt(), subdocument).handle(Read(1)).document == {"k": {}}


def test_pycrdt_is_never_given_an_xml_hook():
    hook = update(b"\x07\x01\x01x\x05\x01a")

    assert opened(Pycrdt()).handle(Apply(1, hook)).code == "malformed"
    assert opened(YPy(), hook).handle(Read(1)).roots == {"x": "[object Object]"}


def random_json(rng: random.Random, depth: int = 0):
    scalars = [rng.randint(-9, 9), "é😀"[: rng.randint(0, 2)], None, [1, {"x": 1.5}], True]
    if depth == 3 or rng.random() < 0.4:
        return rng.choice(scalars)
    return {f"k{rng.randrange(4)}": random_json(rng, depth + 1) for _ in range(rng.randint(0, 3))}


def exchange(rng: random.Random, engines: list[Engine], reaches: list[Reach]) -> None:
    """Random edits, and news that arrive late, in order, at everyone else."""
    inboxes: list[list[bytes]] = [[] for _ in engines]
    for _ in range(60):
        who = rng.randrange(len(engines))
        if inboxes[who] and rng.random() < 0.5:
            merged = engines[who].handle(Apply(1, inboxes[who].pop(0)))
            if isinstance(merged, Refused):
                assert merged.code == "missing"
                continue
        else:
            merged = engines[who].handle(Patch(1, {f"k{rng.randrange(4)}": random_json(rng) for _ in range(2)}))
            for other, inbox in enumerate(inboxes):
                if other != who and merged.news:
                    inbox.append(merged.news)
        reaches[who].absorb(merged.content())


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("libraries", [(YPy,) * 3, (Pycrdt,) * 3, (YPy, Pycrdt, YPy)], ids=["y-py", "pycrdt", "mixed"])
def test_copies_converge_in_value_and_reach(libraries, seed):
    rng = random.Random(seed)
    engines = [opened(library(), seed=seed * 10 + n) for n, library in enumerate(libraries)]
    reaches = [Reach() for _ in libraries]

    exchange(rng, engines, reaches)
    for _ in range(2):
        for source in engines:
            everything = source.handle(Diff(1, b"\x00")).encoded
            for sink, reach in zip(engines, reaches, strict=True):
                reach.absorb(sink.handle(Apply(1, everything)).content())

    views = [engine.handle(Read(1)) for engine in engines]
    assert isinstance(views[0], Viewed)
    assert views[0] == views[1] == views[2]
    snapshots = [check(engine.handle(Snapshot(1)).encoded, subdocuments=True) for engine in engines]
    for snapshot in snapshots:
        whole = Reach()
        whole.absorb(snapshot)
        reaches.append(whole)
    assert len({reach.digest() for reach in reaches}) == 1


def test_edit_inside_what_another_deleted_meanwhile_does_no_harm(library):
    start = opened(library).handle(Put(1, {"a": {"b": {}}, "kept": 1})).news
    alice, bob = opened(library, start, seed=2), opened(library, start, seed=3)

    deletion = alice.handle(Patch(1, {"a": None})).news
    late = bob.handle(Patch(1, {"a": {"b": {"c": {"d": 1}}, "e": 2}})).news

    assert isinstance(alice.handle(Apply(1, late)), Merged)
    assert isinstance(bob.handle(Apply(1, deletion)), Merged)
    assert alice.handle(Read(1)).document == bob.handle(Read(1)).document == {"kept": 1}
    snapshots = [engine.handle(Snapshot(1)) for engine in (alice, bob)]
    assert all(isinstance(snapshot, Encoded) for snapshot in snapshots)


def test_snapshot_does_not_keep_what_was_deleted(library):
    engine = opened(library)
    engine.handle(Put(1, {"secret": "mellon", "a": {"b": "mellon"}}))
    engine.handle(Put(1, {"secret": "x"}))

    assert b"mellon" not in engine.handle(Snapshot(1)).encoded


@pytest.mark.parametrize(
    ("fill", "reads"),
    [
        (lambda doc, txn: doc.get_map("root").set(txn, "k", 1), {"k": 1}),
        (lambda doc, txn: doc.get_text("root").insert(txn, 0, "words"), "words"),
        (lambda doc, txn: doc.get_array("root").insert(txn, 0, [1, 2]), [[1, 2]]),
        (lambda doc, txn: doc.get_array("root").insert(txn, 0, y_py.YText("x")), ["x"]),
        (lambda doc, txn: doc.get_array("root").insert(txn, 0, y_py.YMap({})), [{}]),
        (lambda doc, txn: doc.get_xml_element("root").push_xml_element(txn, "p"), "<p></p>"),
        (lambda doc, txn: doc.get_xml_element("root").push_xml_text(txn), ""),
    ],
)
def test_what_a_root_is_follows_from_its_content(library, fill, reads):
    doc = y_py.YDoc(1)
    with doc.begin_transaction() as txn:
        fill(doc, txn)

    assert opened(library, bytes(y_py.encode_state_as_update(doc))).handle(Read(1)).roots == {"root": reads}


@pytest.mark.parametrize("is_folded", [True, False])
def test_a_text_that_was_emptied_reads_as_nothing_here_and_on_a_node_that_comes_later(library, is_folded):
    doc, updates = y_py.YDoc(1), []
    subscription = doc.observe_after_transaction(lambda event: updates.append(bytes(event.get_update())))
    for edit in (lambda text, txn: text.insert(txn, 0, "ab"), lambda text, txn: text.delete_range(txn, 0, 2)):
        with doc.begin_transaction() as txn:
            edit(doc.get_text("root"), txn)
    del subscription
    here = opened(library, *updates)
    later = opened(library, here.handle(Snapshot(1) if is_folded else Diff(1, b"\x00")).encoded, seed=2)

    assert here.handle(Read(1)) == later.handle(Read(1)) == viewed({}, {})
