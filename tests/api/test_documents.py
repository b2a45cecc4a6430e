"""Documents over HTTP, as JSON."""

import json

import pytest

from peatd.errors import Barred, InvalidEdit, Overtaken, StoreDamaged, TooLarge, Unavailable
from peatd.library import APPLIED, replicated

NOTE = "/documents/notes/a"
JSON = {"Content-Type": "application/json"}


async def _put(node, value, **headers):
    return await node.ask("PUT", NOTE, body=json.dumps(value).encode(), headers=JSON | headers)


async def test_put_get_put_patch_delete(node):
    made = await _put(node, {"title": "hello"})
    assert made.status == 201
    assert made.json == {"collection": "notes", "id": "a", "incarnation": 1, "ack": "durable"}
    assert made.headers["location"] == "/api/v1/documents/notes/a"
    read = await node.ask("GET", NOTE)
    assert read.status == 200
    assert read.json == {"collection": "notes", "id": "a", "incarnation": 1, "document": {"title": "hello"}}
    assert read.headers["etag"] == made.headers["etag"]
    assert read.headers["etag"][0] == read.headers["etag"][-1] == '"'
    changed = await _put(node, {"title": "bye"})
    assert changed.status == 200
    assert changed.headers["etag"] != made.headers["etag"]
    assert "location" not in changed.headers
    merge_patch = {"Content-Type": "application/merge-patch+json; charset=utf-8"}
    patched = await node.ask("PATCH", NOTE, body=b'{"title": null, "n": 1}', headers=merge_patch)
    assert patched.status == 200
    assert (await node.ask("GET", NOTE)).json["document"] == {"n": 1}
    deleted = await node.ask("DELETE", NOTE)
    assert (deleted.status, deleted.body) == (204, b"")
    assert "content-length" not in deleted.headers
    assert (await node.ask("GET", NOTE)).error["code"] == "no_such_document"
    assert (await node.ask("DELETE", NOTE)).status == 404


async def test_a_patch_makes_what_is_not_there(node):
    assert (await node.ask("PATCH", NOTE, body=b'{"a": 1}', headers=JSON)).status == 201


async def test_head_tells_the_etag_without_the_document(node):
    made = await _put(node, {})
    head = await node.ask("HEAD", NOTE)
    assert (head.status, head.body, head.headers["etag"]) == (200, b"", made.headers["etag"])


async def test_options_names_the_methods(node):
    reply = await node.ask("OPTIONS", NOTE)
    assert reply.status == 200
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}


async def test_a_change_to_another_version_than_named_is_412(node):
    first = (await _put(node, {"n": 1})).headers["etag"]
    assert (await _put(node, {"n": 2}, **{"If-Match": f'"other", {first}'})).status == 200
    for method, body in (("PUT", b'{"n":3}'), ("PATCH", b'{"n":3}'), ("DELETE", b"")):
        reply = await node.ask(method, NOTE, body=body, headers={"If-Match": first})
        assert (reply.status, reply.error["code"]) == (412, "precondition_failed")
    assert (await node.ask("GET", NOTE)).json["document"] == {"n": 2}
    assert (await node.ask("DELETE", NOTE, headers={"If-Match": "*"})).status == 204
    assert (await _put(node, {}, **{"If-Match": "*"})).status == 412


async def test_if_match_that_does_not_parse_is_400(node):
    reply = await _put(node, {}, **{"If-Match": "abc"})
    assert reply.status == 400
    assert "If-Match" in reply.error["message"]
    assert (await node.ask("GET", NOTE)).status == 404


async def test_if_none_match_makes_a_document_only_where_there_is_none(node):
    for method in ("PUT", "PATCH"):
        headers = {"If-None-Match": "*"}
        assert (await node.ask(method, NOTE, body=b'{"n":1}', headers=headers)).status == 201
        assert (await node.ask(method, NOTE, body=b'{"n":2}', headers=headers)).status == 412
        assert (await node.ask("GET", NOTE)).json["document"] == {"n": 1}
        await node.ask("DELETE", NOTE)


@pytest.mark.parametrize("headers", [{"If-None-Match": '"abc"'}, {"If-None-Match": "*", "If-Match": "*"}])
async def test_a_condition_that_is_not_understood_is_400_and_changes_nothing(node, headers):
    assert (await _put(node, {}, **headers)).status == 400
    assert (await node.ask("GET", NOTE)).status == 404


async def test_a_strong_comparison_does_not_know_weak_tags(node):
    etag = (await _put(node, {})).headers["etag"]
    assert (await _put(node, {"n": 1}, **{"If-Match": f"W/{etag}"})).status == 412


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "byte 0"),
        (b"{", "byte 1"),
        (b'{"a": NaN}', "byte 6"),
        (b'{"a": 1,}', "byte 8"),
        (b"{} x", "trailing"),
        (b'{"a": 1e999}', "out of range"),
        (b'{"a": "\xff"}', "0xff"),
        (b"[" * 100_000, "nested"),
        (b"[1]", "array"),
        (b"null", "null"),
        (b"true", "boolean"),
        (b"3", "number"),
        (b'"x"', "string"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_body_that_is_no_json_object_is_400_and_says_why(node, method, body, what):
    reply = await node.ask(method, NOTE, body=body, headers=JSON)
    assert reply.status == 400
    assert what in reply.error["message"]
    assert node.mesh.documents.count() == 0


async def test_of_a_key_that_stands_twice_the_last_counts(node):
    await node.ask("PUT", NOTE, body=b'{"a": 1, "a": 2}')
    assert (await node.ask("GET", NOTE)).json["document"] == {"a": 2}


async def test_a_body_of_another_type_is_415(node):
    reply = await node.ask("PUT", NOTE, body=b"{}", headers={"Content-Type": "text/html"})
    assert reply.status == 415
    assert "application/json" in reply.error["hint"]
    merge_patch = {"Content-Type": "application/merge-patch+json"}
    assert (await node.ask("PUT", NOTE, body=b"{}", headers=merge_patch)).status == 415


async def test_what_curl_calls_every_body_is_taken_for_json(node):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await node.ask("PUT", NOTE, body=b"{}", headers=form)).status == 201


@pytest.mark.parametrize("rung", ["applied", "durable", "replicated:2"])
async def test_a_change_waits_for_the_rung_that_was_asked_for(node, rung):
    node.mesh.documents.highest = replicated(2)
    reply = await node.ask("PUT", f"{NOTE}?ack={rung}&timeout=0", body=b"{}")
    assert (reply.status, reply.json["ack"]) == (201, rung)


@pytest.mark.parametrize(("highest", "ack"), [(APPLIED, "durable"), (replicated(1), "replicated:2")])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_rung_that_is_not_reached_in_time_is_504_and_names_the_one_that_was(node, highest, ack, method):
    await _put(node, {"n": 1})
    node.mesh.documents.highest = highest
    reply = await node.ask(method, f"{NOTE}?ack={ack}&timeout=0.01", body=b"" if method == "DELETE" else b'{"n":2}')
    assert (reply.status, reply.error["code"]) == (504, "ack_timeout")
    assert reply.json["reached"] == str(highest)
    assert str(highest) in reply.error["message"]
    after = await node.ask("GET", NOTE)
    assert after.status == 404 if method == "DELETE" else after.json["document"] == {"n": 2}


@pytest.mark.parametrize(
    "query",
    [
        "ack=",
        "ack=Durable",
        "ack=replicated",
        "ack=replicated:0",
        "ack=replicated:-1",
        "ack=replicated:1:2",
        "ack=replicated:99999999999999999999",
        "ack=durable&ack=applied",
        "timeout=",
        "timeout=-1",
        "timeout=nan",
        "timeout=inf",
        "timeout=1e3",
        "timeout=301",
        "timeout=5s",
        "ak=applied",
        "limit=1",
    ],
)
async def test_a_wish_that_does_not_parse_is_400_and_changes_nothing(node, query):
    reply = await node.ask("PUT", f"{NOTE}?{query}", body=b"{}")
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    assert reply.error["hint"]
    assert node.mesh.documents.count() == 0


@pytest.mark.parametrize("path", ["/documents/no%20te/a", "/documents/notes/%FF", f"/documents/notes/{'x' * 256}"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_what_is_no_name_is_400(node, method, path):
    reply = await node.ask(method, path, body=b"{}" if method in ("PUT", "PATCH") else b"")
    assert (reply.status, reply.error["code"]) == (400, "invalid_name")


@pytest.mark.parametrize("name", ["a.b_c-d:e", "..", "x" * 255])
async def test_every_name_is_a_path(node, name):
    assert (await node.ask("PUT", f"/documents/{name}/{name}", body=b"{}")).status == 201
    assert (await node.ask("GET", f"/documents/{name}/{name}")).json["id"] == name


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Unavailable("the disk is full"), 503, "unavailable"),
        (Barred("read of notes/a failed"), 503, "barred"),
        (StoreDamaged("cannot read peat.db: restart peatd"), 503, "store_unreadable"),
        (Overtaken("notes/a was deleted"), 409, "overtaken"),
        (InvalidEdit("too deep"), 422, "invalid_edit"),
        (TooLarge("too large"), 413, "too_large"),
    ],
)
async def test_the_librarys_refusals_have_a_status_that_fits(node, failure, status, code):
    node.mesh.documents.failure = failure
    reply = await node.ask("PUT", NOTE, body=b"{}")
    assert (reply.status, reply.error["code"], reply.error["message"]) == (status, code, str(failure))
    assert ("retry-after" in reply.headers) == (code == "unavailable")


async def test_a_fault_of_ours_is_500_and_tells_nothing_but_is_logged(node, caplog, capsys):
    node.mesh.documents.failure = KeyError("the-secret")
    reply = await node.ask("GET", NOTE)
    assert (reply.status, reply.error["code"]) == (500, "internal")
    assert b"the-secret" not in reply.body
    logged = capsys.readouterr().out + caplog.text
    assert "Traceback" in logged
    assert "the-secret" in logged


async def test_a_fault_in_a_nursery_is_one_of_ours_too(node):
    node.mesh.documents.failure = ExceptionGroup("two", [KeyError("a"), OSError("b")])
    assert (await node.ask("GET", NOTE)).status == 500
    node.mesh.documents.failure = ExceptionGroup("one", [Unavailable("the engine restarts")])
    assert (await node.ask("GET", NOTE)).status == 503


async def test_lists_come_in_pages(node):
    for name in ("a/1", "a/2", "b/1"):
        await node.ask("PUT", f"/documents/{name}", body=b"{}")
    whole = await node.ask("GET", "/documents")
    assert whole.json.keys() == {"documents"}
    assert [one["name"] for one in whole.json["documents"]] == ["a/1", "a/2", "b/1"]
    first = whole.json["documents"][0]
    assert first == {"name": "a/1", "collection": "a", "id": "1", "incarnation": 1, "size_bytes": first["size_bytes"]}
    page = (await node.ask("GET", "/documents?limit=2")).json
    assert ([one["name"] for one in page["documents"]], page["next"]) == (["a/1", "a/2"], "a/2")
    rest = (await node.ask("GET", f"/documents?limit=2&after={page['next']}")).json
    assert ([one["name"] for one in rest["documents"]], "next" in rest) == (["b/1"], False)
    assert len((await node.ask("GET", "/documents?limit=3")).json["documents"]) == 3
    assert "next" not in (await node.ask("GET", "/documents?limit=3")).json
    collection = (await node.ask("GET", "/documents/a?limit=1")).json
    assert ([one["name"] for one in collection["documents"]], collection["next"]) == (["a/1"], "a/1")
    assert (await node.ask("GET", "/documents/none")).json == {"documents": []}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=-1", "limit=1.5", "after=x", "page=2"])
async def test_a_page_that_does_not_parse_is_400(node, query):
    assert (await node.ask("GET", f"/documents?{query}")).status == 400
    assert (await node.ask("GET", "/documents/no%20name")).status == 400
