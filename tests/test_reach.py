"""What a copy has: the same numbers whether from single updates or from one full encode, in either engine."""

import random
from contextlib import suppress

import pycrdt
import pytest
import y_py
from hypothesis import given, settings
from hypothesis import strategies as st

from peatd.errors import MalformedUpdate
from peatd.reach import EMPTY_DIGEST
from peatd.update import EMPTY_STATE_VECTOR, Content, Reach, check, decode_state_vector, encode_state_vector

EDITS = st.lists(
    st.tuples(
        st.integers(0, 2),  # which replica
        st.sampled_from(["type", "erase", "set", "unset", "nest", "push", "pop", "sync"]),
        st.integers(0, 5),
    ),
    max_size=40,
)


class YPyReplica:
    def __init__(self, client: int) -> None:
        self.doc = y_py.YDoc(client, skip_gc=True)  # as in engine/y_py.py, for the same reason
        self.news: list[bytes] = []
        self.text, self.map, self.array = self.doc.get_text("t"), self.doc.get_map("data"), self.doc.get_array("a")
        self._subscription = self.doc.observe_after_transaction(lambda e: self.news.append(bytes(e.get_update())))

    def edit(self, what: str, n: int) -> None:
        with self.doc.begin_transaction() as txn:
            match what:
                case "type":
                    self.text.insert(txn, 0 if n % 2 else len(self.text), "ab😀"[n % 3 :])
                case "erase" if str(self.text)[:1] in ("a", "b"):
                    self.text.delete_range(txn, 0, 1)
                case "set":
                    self.map.set(txn, f"k{n}", n)
                case "unset" if f"k{n}" in self.map:
                    self.map.pop(txn, f"k{n}")
                case "nest":
                    self.map.set(txn, f"k{n}", y_py.YMap({"x": n}))
                case "push":
                    self.array.append(txn, n)
                case "pop" if len(self.array):
                    self.array.delete(txn, 0)

    def apply(self, update: bytes) -> None:
        y_py.apply_update(self.doc, update)

    def full(self) -> bytes:
        return bytes(y_py.encode_state_as_update(self.doc))


class PycrdtReplica:
    def __init__(self, client: int) -> None:
        self.doc = pycrdt.Doc(client_id=client)
        self.news: list[bytes] = []
        self.text = self.doc.get("t", type=pycrdt.Text)
        self.map = self.doc.get("data", type=pycrdt.Map)
        self.array = self.doc.get("a", type=pycrdt.Array)
        self._subscription = self.doc.observe(lambda e: self.news.append(e.update))

    def edit(self, what: str, n: int) -> None:
        with self.doc.transaction():
            match what:
                case "type":
                    self.text.insert(0 if n % 2 else len(self.text), "ab😀"[n % 3 :])
                case "erase" if str(self.text)[:1] in ("a", "b"):
                    del self.text[0:1]
                case "set":
                    self.map[f"k{n}"] = n
                case "unset" if f"k{n}" in self.map:
                    del self.map[f"k{n}"]
                case "nest":
                    self.map[f"k{n}"] = pycrdt.Map({"x": n})
                case "push":
                    self.array.append(n)
                case "pop" if len(self.array):
                    del self.array[0]

    def apply(self, update: bytes) -> None:
        self.doc.apply_update(update)

    def full(self) -> bytes:
        return self.doc.get_update()


def reach_of(updates: list[bytes]) -> Reach:
    reach = Reach()
    for update in updates:
        content = check(update, subdocuments=True)
        assert not reach.lacks(content)
        reach.absorb(content)
        assert reach.covers(content)
    return reach


@pytest.mark.parametrize("engines", [(YPyReplica,) * 3, (PycrdtReplica,) * 3], ids=["y-py", "pycrdt"])
@given(edits=EDITS, seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=60)
def test_news_in_causal_order_reach_what_a_full_encode_reaches(engines, edits, seed):
    rng = random.Random(seed)
    replicas = [make(client) for make, client in zip(engines, (3, 2**32 - 1, 400), strict=True)]
    for which, what, n in edits:
        if what == "sync":
            replicas[which].apply(replicas[n % 3].full())
        else:
            replicas[which].edit(what, n)
    for _ in range(2):
        for source in rng.sample(replicas, 3):
            for sink in rng.sample(replicas, 3):
                if sink is not source:
                    sink.apply(source.full())

    digests = {reach_of(replica.news).digest() for replica in replicas}
    digests |= {reach_of([replica.full()]).digest() for replica in replicas}

    assert len(digests) == 1


def content(ends=(), starts=(), needs=(), deletes=()):
    return Content(dict(starts) or dict.fromkeys(dict(ends), 0), dict(ends), dict(needs), dict(deletes))


def test_lacks_what_lies_before_the_first_struct():
    assert Reach().lacks(content(starts={1: 5}, ends={1: 6}))


def test_lacks_what_is_referred_to():
    assert Reach().lacks(content(ends={1: 1}, needs={2: 1}))


def test_lacks_what_is_deleted_unless_the_update_brings_it():
    assert Reach().lacks(content(ends={1: 4}, deletes={1: [(3, 2)]}))
    assert not Reach().lacks(content(ends={1: 5}, deletes={1: [(3, 2)]}))


def test_covers_structs_and_deletes():
    reach = Reach()
    reach.absorb(content(ends={1: 5}, deletes={1: [(1, 2)]}))

    assert reach.covers(content(ends={1: 5}, deletes={1: [(2, 1)]}))
    assert not reach.covers(content(ends={1: 6}))
    assert not reach.covers(content(deletes={1: [(2, 2)]}))
    assert not reach.covers(content(deletes={2: [(0, 1)]}))


@given(st.lists(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 9)), min_size=1, max_size=50), max_size=6))
def test_deleted_ranges_are_those_of_a_plain_set(batches):
    reach, plain = Reach(), set()
    for ranges in batches:
        reach.absorb(content(deletes={1: ranges}))
        plain |= {clock for start, length in ranges for clock in range(start, start + length)}

    for clock in range(210):
        assert reach.covers(content(deletes={1: [(clock, 1)]})) == (clock in plain)
    merged = Reach()
    if plain:
        merged.absorb(content(deletes={1: [(clock, 1) for clock in sorted(plain)]}))
    assert merged.digest() == reach.digest()


@given(st.dictionaries(st.integers(0, 2**32 - 1), st.integers(1, 2**31 - 1)))
def test_state_vector_round_trip(clocks):
    assert decode_state_vector(encode_state_vector(clocks)) == clocks


def test_state_vector_frozen_and_as_the_engine_writes_it():
    doc = y_py.YDoc(5)
    with doc.begin_transaction() as txn:
        doc.get_text("t").insert(txn, 0, "abc")

    assert encode_state_vector({5: 3}) == bytes(y_py.encode_state_vector(doc)) == b"\x01\x05\x03"
    assert encode_state_vector({}) == encode_state_vector({7: 0}) == EMPTY_STATE_VECTOR


@given(st.binary(max_size=40))
def test_any_bytes_are_a_state_vector_or_malformed(junk):
    with suppress(MalformedUpdate):
        decode_state_vector(junk)


def test_state_vector_of_too_many_clients_is_refused():
    with pytest.raises(MalformedUpdate):
        decode_state_vector(encode_state_vector(dict.fromkeys(range(100_001), 1)))


def test_reach_frozen():
    reach = Reach()
    reach.absorb(Content({300: 0}, {300: 9}, {}, {300: [(1, 2), (5, 1)]}))

    assert reach.encode().hex() == "0201ac020901ac02020102020100"
    assert Reach.decode(reach.encode()).encode() == reach.encode()
    assert Reach.decode(bytes.fromhex("0101ac020901ac02020102020102046461746104017403")).encode() == reach.encode()
    assert reach.digest().hex() == Reach.decode(reach.encode()).digest().hex()
    assert reach.equals(Reach.decode(reach.encode()))
    assert not reach.equals(Reach())
    assert Reach().digest() == EMPTY_DIGEST
    reach.former = (7, 300)
    assert reach.encode().hex() == "0201ac020901ac0202010202010207ac02"
    assert Reach.decode(reach.encode()).former == reach.former


@given(st.binary(max_size=40))
def test_any_bytes_are_a_reach_or_a_value_error(junk):
    for encoded in (junk, b"\x01" + junk, b"\x02" + junk):
        with suppress(ValueError):
            Reach.decode(encoded)
