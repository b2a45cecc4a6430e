"""A member of the formation that lies at random: the node lives, its other links and documents are untouched.

What it says of documents it may say: it can end them, and fill them with nonsense. What was found so stands, one by
one, in `tests/replication/test_liars.py`.
"""

import random

import pytest
import trio
from fakes.liars import Liar, lying_to
from fakes.replicas import mesh, until_equal
from hypothesis import settings
from trio.testing import MockClock

from peatd.names import DocumentName

MESSAGES = 60
VISITS = 3
SEEDS = range({"short": 20, "long": 20_000}.get(settings.get_current_profile_name(), 5))

SAFE, SPOKEN_OF = DocumentName("safe/a"), DocumentName("spoken/of")


@pytest.mark.parametrize("seed", SEEDS)
async def test_it_harms_nobody_else(autojump_clock: MockClock, seed: int) -> None:
    chance = random.Random(seed)
    liar = Liar(chance, (SPOKEN_OF, "spoken/b", "other/c"))
    async with mesh("alice", "bob", seed=seed) as nodes:
        alice, bob = nodes
        await alice.library.put(SAFE, {"n": 0}, if_match=None)
        await alice.library.put(SPOKEN_OF, {"n": 0}, if_match=None)
        await until_equal(*nodes)
        links = [link for node in nodes for link, _ in node.links.live()]
        for visit in range(VISITS):
            async with lying_to(chance.choice(nodes), f"mallory-{visit}") as mallory:
                for message in liar.messages(MESSAGES):
                    mallory.inbox.send(message)
                    await trio.sleep(chance.choice((0, 0, 0.01)))
                await trio.sleep(0.2)
            await chance.choice(nodes).library.patch(SAFE, {"n": visit + 1}, if_match=None)
        await until_equal(*nodes)
        assert (await bob.library.read(SAFE)).document == {"n": VISITS}
        assert [link for node in nodes for link, _ in node.links.live()] == links
        for node in nodes:
            await node.json()
