"""Who may ask. The rules first, as a pure function; then that the served API keeps them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.api.access import PUBLIC, Credentials, Entrance, Locks, admit
from peatd.api.refusal import Refusal
from peatd.hosts import is_loopback

TOKEN = "the-token"
BEARER = f"Bearer {TOKEN}"
LOOPBACK = Entrance(private=False, loopback=True)
PRIVATE = Entrance(private=True, loopback=False)


def _status(entrance, *, host="127.0.0.1:8081", origin=None, authorization=BEARER):
    try:
        admit(Credentials(host, origin, authorization), entrance, Locks(TOKEN, tuple), now=0)
    except Refusal as refusal:
        return refusal.status
    return None


@pytest.mark.parametrize("entrance", [PUBLIC, LOOPBACK])
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic the-token",
        TOKEN,
        "Bearer ÿ",
        "Bearer a.b.c",
        "Basic a.b.c",
    ],
)
def test_on_tcp_the_right_token_is_needed(entrance, authorization):
    assert _status(entrance, authorization=authorization) == 401


@pytest.mark.parametrize("authorization", [BEARER, "bearer the-token", "BEARER  the-token "])
def test_the_right_token_lets_in(authorization):
    assert _status(PUBLIC, host="peat.example", authorization=authorization) is None


def test_the_unix_sockets_owner_needs_no_token_and_no_host():
    assert _status(PRIVATE, host=None, authorization=None) is None


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8081", "[::1]", "[::1]:8081"])
def test_loopback_has_these_names(host):
    assert _status(LOOPBACK, host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "evil.example:8081",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil",
        "localhost:x",
        "[::1",
        "localhost/",
        "localhost?",
        "::1",
        "10.0.0.2",
        "localhost:99999",
    ],
)
def test_loopback_has_no_other_name_whoever_asks(host):
    assert _status(LOOPBACK, host=host) == 403


@pytest.mark.parametrize("entrance", [PUBLIC, LOOPBACK, PRIVATE])
def test_a_page_of_another_origin_may_not_ask(entrance):
    for origin in (
        "http://evil.example",
        "null",
        "",
        "http://localhost:9999",
        "file://",
        "http://localhost",
        "localhost:8081",
    ):
        assert _status(entrance, host="localhost:8081", origin=origin) == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8081", "http://localhost:8081"),
        ("Peat.Example", "https://peat.example"),
        ("[::1]:80", "http://[::1]"),
    ],
)
def test_a_page_of_this_very_host_may(host, origin):
    assert _status(PUBLIC, host=host, origin=origin) is None


@given(st.text(), st.text(), st.text(), st.booleans(), st.booleans())
def test_no_header_makes_it_raise_anything_else(host, origin, authorization, private, loopback):
    assert _status(Entrance(private, loopback), host=host, origin=origin, authorization=authorization) in (
        None,
        401,
        403,
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_a_loopback_address_is_one(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0"])
def test_any_other_address_is_not(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("path", ["/node", "/peers", "/documents", "/documents/a/b", "/nothing", "/events/x"])
async def test_over_tcp_nothing_but_probes_is_told_without_a_token(node, path):
    client = await node.connect()
    async with client.stream:
        reply = await client.ask("GET", f"/api/v1{path}")
        assert (reply.status, reply.error["code"]) == (401, "unauthorized")
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert "api.token" in reply.error["hint"]
        told = await client.ask("GET", f"/api/v1{path}", headers={"Authorization": BEARER})
        assert told.status in (200, 404)


async def test_over_tcp_a_rebound_name_and_a_foreign_page_are_refused(node):
    client = await node.connect()
    async with client.stream:
        rebound = {"Host": "evil.example", "Authorization": BEARER}
        assert (await client.ask("GET", "/api/v1/node", headers=rebound)).error["code"] == "forbidden"
        foreign = {"Origin": "http://evil.example", "Authorization": BEARER}
        assert (await client.ask("GET", "/api/v1/node", headers=foreign)).status == 403
        assert (await client.ask("OPTIONS", "/api/v1/node", headers=foreign)).status == 403
        assert (await client.ask("GET", "/ready", headers={"Host": "evil.example"})).status == 200


async def test_a_page_may_not_ask_by_way_of_a_proxy_to_the_unix_socket(node):
    reply = await node.ask("PUT", "/documents/a/b", body=b"{}", headers={"Origin": "http://evil.example"})
    assert reply.status == 403
    assert node.mesh.documents.count() == 0
