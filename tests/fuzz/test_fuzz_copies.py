"""What our check lets through, all three load: y-py, pycrdt and stock Yjs, and they end with the same.

Documents are fed with nonsense by a hostile client of either engine's node, or with what stock clients write, mutated.
Then all exchange what they have, as in a mesh.

A few are in doubt, in all of which a struct names two neighbours that are none of each other: no check sees that
without the whole document at hand, and Yjs itself then makes this of it or that. Their part is bounded. An engine may
die of one (the node then sets it aside); none may be lost.
"""

import random
from collections.abc import Iterator, Sequence

import pytest
from fakes.copies import DISAGREES, EngineProcess, Fed, engines, exchange
from fakes.hostile_updates import Hostile
from fakes.yjs import YjsClients, yjs_clients
from hypothesis import settings

from peatd.engine.protocol import Merged

UPDATES = 25
DOCUMENTS = {"long": 20_000}.get(settings.get_current_profile_name(), 30)
IN_DOUBT = max(1, DOCUMENTS // 300)


@pytest.fixture(scope="module")
def yjs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[YjsClients]:
    with yjs_clients(tmp_path_factory.mktemp("yjs")) as clients:
        yield clients


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, EngineProcess]]:
    with engines() as processes:
        yield processes


def hostile(fed: Fed, chance: random.Random) -> None:
    """By a client that knows the format, and means harm."""
    client = Hostile(chance, hooks=False)
    for update in client.updates(UPDATES):
        if isinstance(reply := fed.apply(update), Merged) and reply.news:
            client.took(dict(reply.content().ends))


def mutated(fed: Fed, chance: random.Random, recorded: Sequence[bytes]) -> None:
    """By two stock clients, whose bytes are changed now and then on the way."""
    for update in recorded:
        mutant = bytearray(update)
        for _ in range(chance.choice((0, 0, 1, 2))):
            mutant[chance.randrange(len(mutant))] = chance.choice((chance.randrange(256), 0, 1, 255))
        fed.apply(bytes(mutant))


def recorded(yjs: YjsClients, chance: random.Random) -> list[bytes]:
    """What two stock clients write that hear of each other at once."""
    yjs.forget()
    updates = []
    for client in (0, 1):
        yjs.open(client, 7 + client)
    for _ in range(UPDATES):
        client = chance.randrange(2)
        for update in yjs.edit(client, chance.getrandbits(31), 1):
            yjs.apply(1 - client, update)
            updates.append(update)
    return updates


@pytest.mark.parametrize("door", ["y-py", "pycrdt"])
@pytest.mark.parametrize("kind", ["hostile", "mutated"])
def test_all_end_with_the_same(yjs: YjsClients, running: dict[str, EngineProcess], kind: str, door: str) -> None:
    in_doubt = []
    for seed in range(DOCUMENTS):
        chance = random.Random(f"{kind} {seed}")
        copies = {name: Fed(process) for name, process in running.items()}
        if kind == "hostile":
            hostile(copies[door], chance)
        else:
            mutated(copies[door], chance, recorded(yjs, chance))
        found = exchange(yjs, copies)
        if found and found != [DISAGREES]:
            in_doubt.append((seed, found))
        for fed in copies.values():
            fed.open()
            fed.close()
    print(f"{kind} {door}: {len(in_doubt)} of {DOCUMENTS} in doubt: {in_doubt}")
    print({name: process.deaths for name, process in running.items()})
    assert len(in_doubt) <= IN_DOUBT, in_doubt
