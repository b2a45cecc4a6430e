"""The JSON face of documents: what an edit touches, and what it leaves to others. Both CRDT libraries pass it."""

import gc
import json
import random
from pathlib import Path

import pytest

from peatd.engine.engine import Engine
from peatd.engine.items import Branch, Item
from peatd.engine.protocol import Apply, BadRow, Close, Done, Merged, Open, Opened, Patch, Put, Read, Viewed
from peatd.engine.pycrdt import Pycrdt
from peatd.engine.y_py import YPy

LIBRARIES = {"y-py": YPy, "pycrdt": Pycrdt}
VECTORS = Path(__file__).parent.parent / "vectors"
BROWSER = json.loads((VECTORS / "browser_documents.json").read_text())["vectors"]
KIT = next(vector for vector in BROWSER if vector["what"] == "texts, arrays and maps in a map")


@pytest.fixture(params=LIBRARIES)
def library(request):
    return LIBRARIES[request.param]()


def opened(library, *updates: bytes, seed: int = 1) -> Engine:
    rng = random.Random(seed)
    engine = Engine(library, lambda: rng.getrandbits(32))
    assert isinstance(engine.handle(Open(1, b"", list(updates))), Opened)
    return engine


def read(engine: Engine) -> dict:
    viewed = engine.handle(Read(1))
    assert isinstance(viewed, Viewed), viewed
    return viewed.document


def edited(engine: Engine, edit: Put | Patch) -> bytes:
    merged = engine.handle(edit)
    assert isinstance(merged, Merged), merged
    return merged.news


RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
"""Its appendix A, but for the patch that is null: that removes what it stands for."""


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396, ids=str)
def test_rfc_7396(library, target, patch, result):
    engine = opened(library)
    edited(engine, Put(1, {"doc": target}))

    edited(engine, Patch(1, {"doc": patch}))

    assert read(engine) == {"doc": result}


@pytest.mark.parametrize(
    ("target", "patch", "result"), [case for case in RFC_7396 if all(isinstance(part, dict) for part in case)], ids=str
)
def test_rfc_7396_of_a_whole_document(library, target, patch, result):
    engine = opened(library)
    edited(engine, Put(1, target))

    edited(engine, Patch(1, patch))

    assert read(engine) == result


def test_null_in_a_merge_patch_removes(library):
    engine = opened(library)
    edited(engine, Put(1, {"doc": {"a": "foo"}, "kept": 1}))

    edited(engine, Patch(1, {"doc": None, "nothing": None}))

    assert read(engine) == {"kept": 1}


@pytest.mark.parametrize("vector", BROWSER, ids=lambda vector: vector["what"])
def test_what_a_browser_wrote_reads_as_it_says(library, vector):
    update = bytes.fromhex(vector["hex"])
    if vector["hooks"] and isinstance(library, Pycrdt):
        assert isinstance(Engine(library, lambda: 1).handle(Open(1, b"", [update])), BadRow)
        return
    engine = opened(library, update)

    viewed = engine.handle(Read(1))

    assert (viewed.document, viewed.roots) == (vector["document"], vector["roots"])
    assert edited(engine, Put(1, vector["document"])) == b""


BASE = {
    "list": [1, {"name": "milk", "count": 1}, ["x"], {"name": "bread", "count": 2}, "end"],
    "deep": {"er": {"list": [{"id": 1, "tags": ["a", "b"]}]}},
}


def concurrently(library, start: bytes, one: Put | Patch, other: Put | Patch) -> dict:
    """What two make of a document who edit it at once."""
    alice, bob = opened(library, start, seed=2), opened(library, start, seed=3)
    from_alice, from_bob = edited(alice, one), edited(bob, other)
    for engine, news in ((alice, from_bob), (bob, from_alice)):
        assert isinstance(engine.handle(Apply(1, news)), Merged)
    assert read(alice) == read(bob)
    return read(alice)


def changed(value, *path, to):
    """A copy of a JSON value with another at the end of a path."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return copy


def test_edits_of_different_elements_both_survive(library):
    start = edited(opened(library), Put(1, BASE))

    both = concurrently(
        library,
        start,
        Put(1, changed(BASE, "list", 1, "count", to=5)),
        Put(1, changed(BASE, "list", 0, to="first")),
    )

    assert both == changed(changed(BASE, "list", 1, "count", to=5), "list", 0, to="first")


def test_edits_of_different_fields_of_one_element_both_survive(library):
    start = edited(opened(library), Put(1, BASE))

    both = concurrently(
        library,
        start,
        Put(1, changed(BASE, "list", 3, "count", to=9)),
        Put(1, changed(BASE, "list", 3, "name", to="rye")),
    )

    assert both["list"][3] == {"name": "rye", "count": 9}


def test_elements_that_are_added_at_both_ends_both_survive(library):
    start = edited(opened(library), Put(1, BASE))

    both = concurrently(
        library,
        start,
        Put(1, {**BASE, "list": [0, *BASE["list"]]}),
        Put(1, {**BASE, "list": [*BASE["list"], "more"]}),
    )

    assert both["list"] == [0, *BASE["list"], "more"]


def test_an_element_removed_and_another_edited(library):
    start = edited(opened(library), Put(1, BASE))

    both = concurrently(
        library,
        start,
        Put(1, {**BASE, "list": BASE["list"][1:]}),
        Patch(1, {"list": [*BASE["list"][:3], {"name": "bread", "count": 3}, "end"]}),
    )

    assert both["list"] == [*BASE["list"][1:3], {"name": "bread", "count": 3}, "end"]


def test_words_of_a_browsers_text_are_edited_one_by_one(library):
    start, text = bytes.fromhex(KIT["hex"]), KIT["document"]["text"]
    assert text == "héllo 😀 wörld, how are you?"

    both = concurrently(
        library,
        start,
        Patch(1, {"text": text.replace("héllo", "good day")}),
        Put(1, {**KIT["document"], "text": text.replace("are you", "is it 🙂🙃")}),
    )

    assert both["text"] == "good day 😀 wörld, how is it 🙂🙃?"


def test_one_of_two_neighbouring_emoji_is_replaced_whole(library):
    engine = opened(library, bytes.fromhex(KIT["hex"]))

    for text in ("😀", "😁😀", "😁😂", "a😁😂b", "😂", ""):
        edited(engine, Patch(1, {"text": text}))
        assert read(engine)["text"] == text


@pytest.mark.parametrize("seed", range(60))
def test_what_was_put_is_what_is_read(library, seed):
    rng = random.Random(seed)
    engine = opened(library, bytes.fromhex(KIT["hex"]))
    for _ in range(12):
        value = mutated_document(rng, read(engine))
        news = edited(engine, Put(1, value))
        assert read(engine) == value
        assert edited(engine, Put(1, value)) == b""
        assert news or value == read(engine)


def mutated(rng: random.Random, value):
    """A JSON value that differs here and there."""
    if rng.random() < 0.1:
        return rng.choice([None, True, rng.randint(-3, 3), 0.5, "é😀x"[: rng.randrange(4)], [], {}, [1, {"a": 2}]])
    match value:
        case dict():
            copy = {key: mutated(rng, child) for key, child in value.items() if rng.random() < 0.9}
            if rng.random() < 0.3:
                copy[rng.choice("abc")] = rng.choice([1, [2, "x"], {"y": []}])
            return copy
        case list():
            copy = [mutated(rng, child) if rng.random() < 0.3 else child for child in value if rng.random() < 0.9]
            for _ in range(rng.randrange(3)):
                copy.insert(rng.randint(0, len(copy)), rng.choice([1, "new", {"k": [1]}, [[]], None]))
            return copy
        case str() if value:
            start = rng.randrange(len(value))
            return value[:start] + rng.choice(["", "😁", "w örd ", "x"]) + value[start + rng.randrange(4) :]
    return value


def mutated_document(rng, document):
    value = mutated(rng, document)
    return value if isinstance(value, dict) else {}


def test_a_small_change_of_a_large_document_is_a_small_update(library):
    engine = opened(library)
    large = {"list": [{"n": n, "text": "word " * 20} for n in range(500)]}
    edited(engine, Put(1, large))

    assert len(edited(engine, Put(1, changed(large, "list", 250, "n", to=-1)))) < 40
    assert len(edited(engine, Put(1, {"list": changed(large, "list", 250, "n", to=-1)["list"][1:]}))) < 40


def test_arrays_and_texts_with_nothing_in_common_are_replaced_in_time(library):
    engine = opened(library, bytes.fromhex(KIT["hex"]))
    rng = random.Random(1)
    words = [str(rng.randrange(1000)) for _ in range(30_000)]
    for _ in range(2):
        rng.shuffle(words)
        value = {"text": " ".join(words), "list": list(words)}
        edited(engine, Put(1, value))
        assert read(engine) == value


def test_what_is_dropped_is_freed_at_once(library):
    engine = opened(library)
    gc.collect()
    assert not gc.isenabled()
    before = items_in_memory()
    for number in range(20):
        edited(engine, Put(1, {"n": number, "list": [{"a": [number]}, "text"], "map": {"b": {"c": number}}}))
    assert items_in_memory() > before
    assert isinstance(engine.handle(Close(1)), Done)
    assert items_in_memory() == before


def items_in_memory() -> int:
    return sum(isinstance(each, Branch | Item) for each in gc.get_objects())
