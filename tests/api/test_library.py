"""What every library does, whatever is behind it. Each test runs on each of them."""

import pytest
import y_py

from peatd.errors import AckTimeout, MalformedUpdate, MissingUpdates, NoSuchDocument, PreconditionFailed, TooLarge
from peatd.library import APPLIED, DURABLE, IfMatch, Library, replicated
from peatd.names import document_name
from peatd.update import EMPTY_STATE_VECTOR, decode_state_vector

NOTE = document_name("notes", "a")


def _text_updates(*words: str) -> list[bytes]:
    """One update for each word that alice types at the end of the text `body`."""
    doc, updates = y_py.YDoc(), []
    text = doc.get_text("body")
    for word in words:
        before = y_py.encode_state_vector(doc)
        with doc.begin_transaction() as transaction:
            text.extend(transaction, word)
        updates.append(y_py.encode_state_as_update(doc, before))
    return updates


async def test_a_put_document_can_be_read(library: Library):
    value = {"title": "hello", "tags": ["a", "b"], "deep": {"n": 1.5, "none": None, "yes": True}}
    written = await library.put(NOTE, value, if_match=None)
    view = await library.read(NOTE)
    assert written.created
    assert (view.incarnation, view.etag) == (written.incarnation, written.etag)
    assert view.document == value
    assert view.roots == {}


async def test_an_empty_object_makes_a_document_too(library: Library):
    assert (await library.put(NOTE, {}, if_match=None)).created
    assert (await library.read(NOTE)).document == {}
    assert library.count() == 1


async def test_put_replaces_all_keys_and_changes_the_etag(library: Library):
    first = await library.put(NOTE, {"a": 1, "b": 2}, if_match=None)
    second = await library.put(NOTE, {"b": 3}, if_match=None)
    assert not second.created
    assert second.incarnation == first.incarnation
    assert second.etag != first.etag
    assert (await library.read(NOTE)).document == {"b": 3}


async def test_putting_the_same_again_is_no_new_version(library: Library):
    first = await library.put(NOTE, {"a": 1}, if_match=None)
    assert (await library.put(NOTE, {"a": 1}, if_match=None)).etag == first.etag


async def test_patch_is_rfc_7396(library: Library):
    await library.put(NOTE, {"keep": 1, "drop": 2, "deep": {"a": 1, "b": 2}}, if_match=None)
    await library.patch(NOTE, {"drop": None, "deep": {"b": None, "c": 3}, "new": [1]}, if_match=None)
    assert (await library.read(NOTE)).document == {"keep": 1, "deep": {"a": 1, "c": 3}, "new": [1]}


async def test_patching_what_is_not_there_makes_it(library: Library):
    assert (await library.patch(NOTE, {"a": 1, "b": None}, if_match=None)).created
    assert (await library.read(NOTE)).document == {"a": 1}


async def test_what_is_not_there_cannot_be_read_or_deleted(library: Library):
    with pytest.raises(NoSuchDocument):
        await library.read(NOTE)
    with pytest.raises(NoSuchDocument):
        await library.diff(NOTE, EMPTY_STATE_VECTOR)
    for condition in (None, IfMatch(any_version=True), IfMatch(etags=frozenset({"x"}))):
        with pytest.raises(NoSuchDocument):
            await library.delete(NOTE, if_match=condition)


async def test_a_deleted_document_is_gone_and_begins_anew(library: Library):
    first = await library.put(NOTE, {"a": 1}, if_match=None)
    await library.delete(NOTE, if_match=None)
    assert library.count() == 0
    assert library.list(None, after=None, limit=10) == []
    with pytest.raises(NoSuchDocument):
        await library.read(NOTE)
    again = await library.put(NOTE, {"b": 2}, if_match=None)
    assert again.created
    assert again.incarnation > first.incarnation
    assert (await library.read(NOTE)).document == {"b": 2}


async def test_a_condition_that_does_not_hold_changes_nothing(library: Library):
    written = await library.put(NOTE, {"a": 1}, if_match=None)
    other = IfMatch(etags=frozenset({"another"}))
    with pytest.raises(PreconditionFailed):
        await library.put(NOTE, {"a": 2}, if_match=other)
    with pytest.raises(PreconditionFailed):
        await library.patch(NOTE, {"a": 2}, if_match=other)
    with pytest.raises(PreconditionFailed):
        await library.delete(NOTE, if_match=other)
    view = await library.read(NOTE)
    assert (view.document, view.etag) == ({"a": 1}, written.etag)


async def test_a_condition_that_holds_lets_the_change_pass(library: Library):
    first = await library.put(NOTE, {"a": 1}, if_match=None)
    named = IfMatch(etags=frozenset({"another", first.etag}))
    second = await library.put(NOTE, {"a": 2}, if_match=named)
    assert (await library.patch(NOTE, {"a": 3}, if_match=IfMatch(any_version=True))).etag != second.etag
    await library.delete(NOTE, if_match=IfMatch(any_version=True))


@pytest.mark.parametrize("condition", [IfMatch(any_version=True), IfMatch(etags=frozenset({"x"}))])
async def test_no_condition_holds_for_what_is_not_there(library: Library, condition: IfMatch):
    with pytest.raises(PreconditionFailed):
        await library.put(NOTE, {}, if_match=condition)
    with pytest.raises(PreconditionFailed):
        await library.patch(NOTE, {}, if_match=condition)
    assert library.count() == 0


async def test_lists_are_in_order_and_in_pages(library: Library):
    names = [document_name(collection, one) for collection in ("b", "a") for one in ("2", "10", "1")]
    for name in names:
        await library.put(name, {"n": str(name)}, if_match=None)
    ordered = sorted(names)
    assert [one.name for one in library.list(None, after=None, limit=100)] == ordered
    assert [one.name for one in library.list(None, after=None, limit=2)] == ordered[:2]
    assert [one.name for one in library.list(None, after=ordered[1], limit=100)] == ordered[2:]
    assert [one.name for one in library.list("b", after=None, limit=100)] == ["b/1", "b/10", "b/2"]
    assert [one.name for one in library.list("b", after=document_name("b", "1"), limit=1)] == ["b/10"]
    assert library.list("no-such", after=None, limit=100) == []
    listed = library.list(None, after=None, limit=100)
    assert all(one.size_bytes > 0 and one.incarnation >= 1 for one in listed)
    assert [library.size_bytes(one.name) for one in listed] == [one.size_bytes for one in listed]
    assert library.size_bytes(document_name("nowhere", "none")) == 0
    assert library.count() == 6


async def test_an_update_is_merged_and_its_root_is_seen(library: Library):
    hello, world = _text_updates("hello ", "world")
    first = await library.apply(NOTE, hello)
    second = await library.apply(NOTE, world)
    assert (first.created, second.created) == (True, False)
    view = await library.read(NOTE)
    assert (view.document, view.roots) == ({}, {"body": "hello world"})
    assert view.etag == second.etag != first.etag


async def test_an_update_that_is_known_already_changes_nothing(library: Library):
    (hello,) = _text_updates("hello")
    first = await library.apply(NOTE, hello)
    again = await library.apply(NOTE, hello)
    assert (again.created, again.etag) == (False, first.etag)


async def test_a_gap_is_refused_with_what_is_here(library: Library):
    one, two, three = _text_updates("1", "2", "3")
    await library.apply(NOTE, one)
    before = (await library.read(NOTE)).etag
    with pytest.raises(MissingUpdates) as refused:
        await library.apply(NOTE, three)
    assert list(decode_state_vector(refused.value.state_vector).values()) == [1]
    assert (await library.read(NOTE)).etag == before
    for update in (two, three):
        await library.apply(NOTE, update)
    assert (await library.read(NOTE)).roots == {"body": "123"}


async def test_a_gap_makes_no_document(library: Library):
    _, two = _text_updates("1", "2")
    with pytest.raises(MissingUpdates) as refused:
        await library.apply(NOTE, two)
    assert refused.value.state_vector == EMPTY_STATE_VECTOR
    assert library.count() == 0


@pytest.mark.parametrize("update", [b"", b"\x00", b"junk", b"\xff" * 32, b"\x00\x00\x00"])
async def test_what_is_no_update_is_refused_and_makes_no_document(library: Library, update: bytes):
    with pytest.raises(MalformedUpdate):
        await library.apply(NOTE, update)
    assert library.count() == 0


async def test_too_large_an_update_is_refused(library: Library):
    (update,) = _text_updates("x" * (1024 * 1024))
    with pytest.raises(TooLarge):
        await library.apply(NOTE, update)
    assert library.count() == 0


async def test_a_diff_is_what_the_copy_lacks(library: Library):
    one, two = _text_updates("1", "2")
    await library.apply(NOTE, one)
    copy = y_py.YDoc()
    y_py.apply_update(copy, await library.diff(NOTE, EMPTY_STATE_VECTOR))
    assert str(copy.get_text("body")) == "1"
    await library.apply(NOTE, two)
    diff = await library.diff(NOTE, y_py.encode_state_vector(copy))
    assert len(diff) < len(await library.diff(NOTE, EMPTY_STATE_VECTOR))
    y_py.apply_update(copy, diff)
    assert str(copy.get_text("body")) == "12"


@pytest.mark.parametrize("state_vector", [b"", b"\x01", b"\xff" * 20])
async def test_what_is_no_state_vector_is_refused(library: Library, state_vector: bytes):
    await library.put(NOTE, {}, if_match=None)
    with pytest.raises(MalformedUpdate):
        await library.diff(NOTE, state_vector)


async def test_changes_from_json_and_from_updates_are_one_document(library: Library):
    await library.put(NOTE, {"title": "x"}, if_match=None)
    (update,) = _text_updates("body")
    await library.apply(NOTE, update)
    view = await library.read(NOTE)
    assert (view.document, view.roots) == ({"title": "x"}, {"body": "body"})
    await library.put(NOTE, {"title": "y"}, if_match=None)
    assert (await library.read(NOTE)).roots == {"body": "body"}


async def test_a_change_is_acknowledged_when_it_is_on_its_rung(library: Library):
    written = await library.put(NOTE, {"a": 1}, if_match=None)
    assert await library.acknowledged(written, APPLIED, 5) >= APPLIED
    assert await library.acknowledged(written, DURABLE, 5) >= DURABLE
    deleted = await library.delete(NOTE, if_match=None)
    assert await library.acknowledged(deleted, DURABLE, 5) >= DURABLE


async def test_a_rung_without_peers_is_not_reached(library: Library):
    written = await library.put(NOTE, {"a": 1}, if_match=None)
    await library.acknowledged(written, DURABLE, 5)
    with pytest.raises(AckTimeout) as late:
        await library.acknowledged(written, replicated(1), 0.01)
    assert late.value.reached == "durable"
