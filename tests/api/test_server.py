"""Serving: what comes up, how many may be in, and how it ends."""

from dataclasses import replace

import pytest
import trio
import trio.testing
from fakes.http_client import connect_tcp

from peatd.api.connection import Limits

BOUNDED = 20.0
GET_WAIT = b"GET /api/v1/wait HTTP/1.1\r\nHost: x\r\n\r\n"


class _Gate:
    """A route that answers once it is opened."""

    def __init__(self, node):
        self.count = 0
        self.opened, self.cancelled = trio.Event(), trio.Event()
        node.app.add_url_rule("/api/v1/wait", "wait", self._wait)

    async def _wait(self):
        self.count += 1
        try:
            await self.opened.wait()
        except trio.Cancelled:
            self.cancelled.set()
            raise
        return b"done"

    async def asked(self, count=1):
        """Returns once that many requests have come."""
        with trio.fail_after(BOUNDED):
            while self.count < count:
                await trio.testing.wait_all_tasks_blocked()


async def _settled():
    """A client hears the answer a moment before the server is done with it."""
    await trio.testing.wait_all_tasks_blocked(0.01)


async def test_what_is_in_flight_is_answered_while_nothing_new_is_accepted(serve_with):
    async with serve_with(replace(Limits(), grace=60)) as node:
        gate = _Gate(node)
        client = await node.connect_privately()
        async with client.stream:
            await client.say(GET_WAIT)
            await gate.asked()
            node.serving.cancel()
            await _settled()
            assert not node.stopped.is_set()
            assert not node.unix.exists()
            with pytest.raises(OSError, match="all attempts to connect"):
                await connect_tcp(node.tcp)
            gate.opened.set()
            (reply,) = await client.hear_replies(1)
            assert reply.body == b"done"
            assert await client.hear_all() == b""
        with trio.fail_after(BOUNDED):
            await node.stopped.wait()


async def test_what_is_not_answered_within_the_grace_is_cut(serve_with):
    async with serve_with(replace(Limits(), grace=0.05)) as node:
        gate = _Gate(node)
        client = await node.connect_privately()
        async with client.stream:
            await client.say(GET_WAIT)
            await gate.asked()
            node.serving.cancel()
            with trio.fail_after(BOUNDED):
                await node.stopped.wait()
                await gate.cancelled.wait()
            assert await client.hear_all() == b""


async def test_readiness_is_told_until_the_end(node):
    node.mesh.draining = "shutting down"
    for _ in range(3):
        assert (await node.ask("GET", "/ready")).status == 503


@pytest.mark.parametrize("request_line", ["GET /livez", "GET /api/v1/documents/a/b", "PUT /api/v1/documents/a/b"])
async def test_a_node_that_is_leaving_ends_each_connection_with_its_answer(node, request_line):
    client = await node.connect_privately()
    async with client.stream:
        method, _, target = request_line.partition(" ")
        headers = {"Content-Type": "application/json"} if method == "PUT" else {}
        body = b"{}" if method == "PUT" else b""
        staying = await client.ask(method, target, headers=headers, body=body)
        assert "connection" not in staying.headers
        node.mesh.draining = "shutting down"
        leaving = await client.ask(method, target, headers=headers, body=body)
        assert leaving.status < 500
        assert leaving.headers["connection"] == "close"
        assert await client.hear_all() == b""


async def test_a_thousand_silent_connections_keep_no_probe_out(serve_with):
    async with serve_with(replace(Limits(), connections=20, idle=600, grace=0.05)) as node:
        silent = []
        for number in range(1000):
            silent.append(await node.connect())
            if number % 100 == 0:
                probe = await node.connect()
                async with probe.stream:
                    assert (await probe.ask("GET", "/livez")).status == 200
        for client in silent[:-20]:
            assert await client.hear_all() == b""
        assert (await silent[-1].ask("GET", "/livez")).status == 200
        for client in silent:
            await client.stream.aclose()


async def test_only_idle_connections_make_room(serve_with):
    async with serve_with(replace(Limits(), connections=3, grace=0.05)) as node:
        gate = _Gate(node)
        busy = [await node.connect_privately() for _ in range(3)]
        for client in busy:
            await client.say(GET_WAIT)
        await gate.asked(3)
        refused = await node.connect_privately()
        reply = await refused.ask("GET", "/api/v1/documents")
        assert (reply.status, reply.headers["retry-after"], reply.headers["connection"]) == (503, "1", "close")
        probe = await node.connect_privately()
        assert (await probe.ask("GET", "/readyz")).status == 200
        by_the_other_door = await node.connect()
        assert (await by_the_other_door.ask("GET", "/livez")).status == 200
        gate.opened.set()
        for client in busy:
            (reply,) = await client.hear_replies(1)
            assert reply.body == b"done"
        await _settled()
        welcome = await node.connect_privately()
        assert (await welcome.ask("GET", "/livez")).status == 200
        for client in (*busy, refused, probe, by_the_other_door, welcome):
            await client.stream.aclose()


async def test_the_one_that_waited_longest_makes_room(serve_with):
    async with serve_with(replace(Limits(), connections=2, grace=0.05)) as node:
        first, second = await node.connect(), await node.connect()
        for client in (second, first):
            await client.ask("GET", "/livez")
            await _settled()
        third = await node.connect()
        await third.ask("GET", "/livez")
        assert await second.hear_all() == b""
        assert (await first.ask("GET", "/livez")).status == 200
        for client in (first, second, third):
            await client.stream.aclose()


async def test_many_clients_at_once(node):
    async def ask(client):
        async with client.stream:
            for _ in range(5):
                assert (await client.ask("GET", "/ready")).status == 200

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ask, await node.connect())
