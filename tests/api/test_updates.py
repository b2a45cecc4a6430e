"""Documents over HTTP, as raw Yjs updates."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
import y_py

from peatd.api.app import MAX_BODY_BYTES
from peatd.errors import Quarantined

UPDATES = "/documents/notes/a/updates"


def _updates(*words: str) -> list[bytes]:
    doc, updates = y_py.YDoc(), []
    for word in words:
        before = y_py.encode_state_vector(doc)
        with doc.begin_transaction() as transaction:
            doc.get_text("body").extend(transaction, word)
        updates.append(y_py.encode_state_as_update(doc, before))
    return updates


async def test_an_update_goes_in_and_comes_out(node):
    hello, world = _updates("hello ", "world")
    made = await node.ask("POST", UPDATES, body=hello)
    assert (made.status, made.json) == (201, {"collection": "notes", "id": "a", "incarnation": 1, "ack": "durable"})
    assert made.headers["etag"] == (await node.ask("GET", "/documents/notes/a")).headers["etag"]
    more = await node.ask("POST", f"{UPDATES}?ack=applied", body=world)
    assert (more.status, more.json["ack"]) == (200, "applied")
    assert (await node.ask("GET", "/documents/notes/a")).json["roots"] == {"body": "hello world"}
    copy = y_py.YDoc()
    whole = await node.ask("GET", UPDATES)
    assert whole.headers["content-type"] == "application/octet-stream"
    y_py.apply_update(copy, whole.body)
    assert str(copy.get_text("body")) == "hello world"


@pytest.mark.parametrize("padding", [True, False])
async def test_a_diff_is_made_for_the_state_vector_that_was_given(node, padding):
    one, two = _updates("1", "2")
    await node.ask("POST", UPDATES, body=one)
    copy = y_py.YDoc()
    y_py.apply_update(copy, one)
    sv = urlsafe_b64encode(y_py.encode_state_vector(copy)).decode()
    await node.ask("POST", UPDATES, body=two)
    reply = await node.ask("GET", f"{UPDATES}?sv={sv if padding else sv.rstrip('=')}")
    assert reply.status == 200
    y_py.apply_update(copy, reply.body)
    assert str(copy.get_text("body")) == "12"


@pytest.mark.parametrize("sv", ["", "!", "A", "AA=A", "AA===", "A+/A", "____", "AQ"])
async def test_what_is_no_state_vector_is_400(node, sv):
    await node.ask("POST", UPDATES, body=_updates("1")[0])
    reply = await node.ask("GET", f"{UPDATES}?sv={sv}")
    assert (reply.status, reply.error["code"]) == (400, "bad_request")


async def test_what_is_no_update_is_422_and_changes_nothing(node):
    for body in (b"", b"junk", _updates("1")[0] + b"x"):
        reply = await node.ask("POST", UPDATES, body=body)
        assert (reply.status, reply.error["code"]) == (422, "malformed_update")
    assert node.mesh.documents.count() == 0


async def test_a_gap_is_409_with_our_state_vector(node):
    one, two, three = _updates("1", "2", "3")
    await node.ask("POST", UPDATES, body=one)
    reply = await node.ask("POST", UPDATES, body=three)
    assert (reply.status, reply.error["code"]) == (409, "missing_updates")
    sv = reply.json["state_vector"]
    doc = y_py.YDoc()
    y_py.apply_update(doc, one)
    assert urlsafe_b64decode(sv + "=" * (-len(sv) % 4)) == y_py.encode_state_vector(doc)
    for update in (two, three):
        y_py.apply_update(doc, update)
    assert (await node.ask("GET", "/documents/notes/a")).json["roots"] == {"body": "1"}
    missing = y_py.encode_state_as_update(doc, urlsafe_b64decode(sv + "=" * (-len(sv) % 4)))
    assert (await node.ask("POST", UPDATES, body=missing)).status == 200
    assert (await node.ask("GET", "/documents/notes/a")).json["roots"] == {"body": "123"}


async def test_an_update_that_the_engine_did_not_survive_is_422(node):
    node.mesh.documents.failure = Quarantined("the engine ended twice on it")
    assert (await node.ask("POST", UPDATES, body=b"\x00\x00")).error["code"] == "quarantined"


async def test_there_are_no_updates_of_what_is_not_there(node):
    assert (await node.ask("GET", UPDATES)).error["code"] == "no_such_document"


@pytest.mark.parametrize(
    ("method", "path"), [("POST", UPDATES), ("PUT", "/documents/a/b"), ("PATCH", "/documents/a/b")]
)
async def test_a_body_beyond_1_mib_is_413(node, method, path):
    reply = await node.ask(method, path, body=b"x" * (MAX_BODY_BYTES + 1))
    assert reply.status == 413
    assert reply.headers["connection"] == "close"
    assert "1 MiB" in reply.error["hint"]
    assert node.mesh.documents.count() == 0


async def test_a_body_of_1_mib_is_read(node):
    text = json.dumps({"a": "x" * (MAX_BODY_BYTES - 9)}).encode()
    assert len(text) == MAX_BODY_BYTES
    assert (await node.ask("PUT", "/documents/a/b", body=text)).status == 201


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(node):
    client = await node.connect_privately()
    async with client.stream:
        await client.say(f"POST /api/v1{UPDATES} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n".encode())
        (reply,) = await client.hear_replies(1)
    assert reply.status == 413


async def test_a_body_in_chunks_is_refused_when_it_becomes_too_large(node):
    client = await node.connect_privately()
    head = f"POST /api/v1{UPDATES} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    async with client.stream:
        await client.say(head + chunk * 17)
        (reply,) = await client.hear_replies(1)
    assert reply.status == 413
