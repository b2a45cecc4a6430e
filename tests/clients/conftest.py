"""A node in one process, and a port for its clients."""

import random
from collections.abc import AsyncIterator

import pytest
from fakes.clients import Port, port
from fakes.replicas import Replica


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    async with Replica("alice", random.Random(1)).running() as alice:
        yield alice


@pytest.fixture
async def alice(replica: Replica) -> AsyncIterator[Port]:
    async with port(replica) as served:
        yield served
