"""What requests take of a node's memory: they wait for it, and are refused; probes never are."""

import gc
from dataclasses import replace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from peatd import byte_budget
from peatd.api.connection import Limits
from peatd.api.guard import GuardedProtocol
from peatd.byte_budget import ByteBudget
from peatd.limits import Limit, LimitHits

BODY = b'{"text": "%s"}' % (b"x" * 1000)
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def budget() -> ByteBudget:
    """Of a node that has memory for one such body at a time."""
    return ByteBudget(40 * len(BODY), Limit.REQUEST_MEMORY, LimitHits())


async def test_bodies_take_turns(serve_with, budget):
    async with serve_with(replace(Limits(), grace=0.05), memory=budget) as node, trio.open_nursery() as nursery:
        most = 0

        async def put(number):
            nonlocal most
            client = await node.connect_privately()
            async with client.stream:
                assert (await client.ask("PUT", f"/api/v1/documents/a/{number}", headers=JSON, body=BODY)).status == 201
                most = max(most, budget.used_bytes)

        for number in range(10):
            nursery.start_soon(put, number)
    assert most <= budget.size_bytes
    assert budget.used_bytes == 0


async def test_who_waits_too_long_is_told_to_come_again_and_probes_pass(serve_with, budget, monkeypatch):
    monkeypatch.setattr(byte_budget, "PATIENCE", 0.05)
    async with serve_with(replace(Limits(), grace=0.05), memory=budget) as node:
        slow = await node.connect_privately()
        await slow.say(b"PUT /api/v1/documents/a/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1018\r\n\r\n{")
        await wait_all_tasks_blocked(0.01)
        assert budget.used_bytes
        client = await node.connect_privately()
        reply = await client.ask("PUT", "/api/v1/documents/a/b", headers=JSON, body=BODY)
        assert (reply.status, reply.error["code"]) == (503, "unavailable")
        assert (reply.headers["retry-after"], reply.headers["connection"]) == ("1", "close")
        probe = await node.connect()
        assert (await probe.ask("GET", "/readyz")).status == 200
        await slow.stream.aclose()
        await wait_all_tasks_blocked(0.01)
        assert budget.used_bytes == 0
        again = await node.connect_privately()
        assert (await again.ask("PUT", "/api/v1/documents/a/b", headers=JSON, body=BODY)).status == 201
        read = await again.ask("GET", "/api/v1/documents/a/b")
        assert read.status == 200
        for one in (client, probe, again):
            await one.stream.aclose()


async def test_who_is_not_let_in_takes_none_beyond_the_answer(serve_with, budget):
    """Nor while what it may go on sending is read away."""
    async with serve_with(replace(Limits(), grace=0.05), memory=budget) as node:
        stranger = await node.connect()
        async with stranger.stream:
            await stranger.say(b"PUT /api/v1/documents/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 1018\r\n\r\n{")
            (reply,) = await stranger.hear_replies(1)
            assert reply.status in (401, 403)
            await wait_all_tasks_blocked(0.01)
            assert budget.used_bytes == 0


async def test_a_body_of_unknown_length_is_taken_for_the_longest(serve_with, budget):
    async with serve_with(replace(Limits(), grace=0.05), memory=budget) as node:
        client = await node.connect_privately()
        async with client.stream:
            await client.say(b"PUT /api/v1/documents/a/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            await wait_all_tasks_blocked(0.01)
            assert budget.used_bytes == budget.size_bytes
            await client.say(b"2\r\n{}\r\n0\r\n\r\n")
            (reply,) = await client.hear_replies(1)
            assert reply.status == 201


async def test_what_a_connection_has_read_goes_with_it(serve_with):
    """And does not wait for the collector, which comes after so many objects, however large they are."""
    gc.collect()
    before = _protocols()  # a failed test's traceback may keep some
    assert not gc.isenabled()
    async with serve_with(replace(Limits(), grace=0.05)) as node:
        for number in range(3):
            reply = await node.ask("PUT", f"/documents/a/{number}", headers=JSON, body=BODY)
            assert reply.status == 201
        async with (await node.connect_privately()).stream as waiting:
            await waiting.send_all(b"PUT /api/v1/documents/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            await wait_all_tasks_blocked(0.01)
            assert _protocols() == before + 1
        await wait_all_tasks_blocked(0.01)
        assert _protocols() == before


def _protocols() -> int:
    return sum(isinstance(one, GuardedProtocol) for one in gc.get_objects())
