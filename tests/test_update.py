"""The structural check: what well-formed updates hold, and that everything else is refused."""

import json
import random
from contextlib import suppress
from pathlib import Path

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.errors import MalformedUpdate
from peatd.update import check

FROZEN = json.loads((Path(__file__).parent / "vectors" / "updates.json").read_text())


@pytest.mark.parametrize("vector", FROZEN["good"], ids=lambda vector: vector["what"])
def test_frozen_update_holds_what_it_held(vector):
    content = check(bytes.fromhex(vector["hex"]), subdocuments=True)

    assert {str(client): clock for client, clock in content.starts.items()} == vector["starts"]
    assert {str(client): clock for client, clock in content.ends.items()} == vector["ends"]
    assert {str(client): clock for client, clock in content.needs.items()} == vector["needs"]
    assert {str(client): [list(r) for r in ranges] for client, ranges in content.deletes.items()} == vector["deletes"]


@pytest.mark.parametrize("vector", FROZEN["bad"], ids=lambda vector: vector["what"])
def test_frozen_malformed_update_is_refused(vector):
    with pytest.raises(MalformedUpdate):
        check(bytes.fromhex(vector["hex"]), subdocuments=True)


@pytest.mark.parametrize("vector", FROZEN["good"], ids=lambda vector: vector["what"])
def test_cut_or_extended_update_is_refused(vector):
    update = bytes.fromhex(vector["hex"])
    for end in range(len(update)):
        with pytest.raises(MalformedUpdate):
            check(update[:end], subdocuments=True)
    with pytest.raises(MalformedUpdate):
        check(update + b"\x00", subdocuments=True)


def test_empty_update_holds_nothing():
    assert check(b"\x00\x00", subdocuments=False).is_empty


def test_subdocument_is_refused_only_where_the_engine_cannot_hold_it():
    doc = pycrdt.Doc({"data": pycrdt.Map({"child": pycrdt.Doc()})}, client_id=7)
    update = doc.get_update()

    check(update, subdocuments=True)
    with pytest.raises(MalformedUpdate):
        check(update, subdocuments=False)


@given(st.binary(max_size=64))
def test_any_bytes_are_an_update_or_malformed(junk):
    with suppress(MalformedUpdate):
        check(junk, subdocuments=True)


def test_mutated_updates_are_updates_or_malformed():
    rng = random.Random(11204)
    seeds = [bytes.fromhex(vector["hex"]) for vector in FROZEN["good"]]
    for _ in range(20_000):
        mutant = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        with suppress(MalformedUpdate):
            check(bytes(mutant), subdocuments=True)
