"""What has to hold: at any moment (`check_bounds`), and of nodes that were left in peace (`settled`, `check`)."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import trio
from sim.clients import Clients
from sim.history import History, Nodes
from sim.network import Network
from sim.node import Life, Machine

from peatd import documents, exchange
from peatd.events import MAX_EVENTS
from peatd.store import keeper
from peatd.table import ALL_RECENT_BYTES

REPLAYED = 10
"""Nodes whose disks are looked at after a power cut of all."""

_PATIENCE = 150.0
"""Seconds in which all nodes are to agree once nothing is broken any more: a dead link is found after 30, the longest
pauses between two dials are 30 each, and what was lost on the way is asked for after 37.5 and once more."""

_MOST_DELIVERIES = 10_000
"""In one run and to each node: many times what any takes. Whatever takes more goes in circles."""

_PING = 4.0
"""Seconds in which a link that is doubted proves that it lives, and a little more."""

_SLACK = 2
"""Bounds are of what makes a caller wait; what is on its way then still comes."""


class Violation(Exception):
    """Something that has to hold does not."""


def is_expected(network: Network, machine: Machine, event: str, fields: dict[str, Any]) -> bool:
    """Whether a node may log this error: something outside it is broken, or it cannot know better."""
    if event == "store_final_sync_failed" and trio.current_time() <= machine.slow_until:
        return True
    if event in ("store_failing", "store_final_sync_failed"):
        return trio.current_time() <= machine.faulty_until
    if event == "two nodes with one node id":
        # What it reads slowly, or through a cut, makes one live that is dead and has come back.
        return network.has_heard_ghosts(str(fields["node_id"]), machine.name, since=trio.current_time() - _PING)
    return False


def check_bounds(life: Life) -> None:
    """Raises: Violation, if a queue is longer than it may ever be."""
    for what, size, bound in _sizes(life):
        if size > bound:
            raise Violation(f"{life.machine.name}: {size} {what}; the bound is {bound}")


def _sizes(life: Life) -> Iterator[tuple[str, int, int]]:
    for worker in life.documents._workers:
        yield "jobs of the engine", worker._schedule.waiting, _SLACK * documents._MAX_WAITING
        yield "bytes of jobs", worker._schedule.waiting_bytes, _SLACK * documents._MAX_WAITING_BYTES
    yield "bytes that the store holds", life.store.status().pending_bytes, _SLACK * keeper.PENDING_BYTES
    yield "bytes of latest changes", life.replication.table._recent_bytes, ALL_RECENT_BYTES
    yield "events", len(life.events._events), MAX_EVENTS
    for _, one in life.links.live():
        yield "unsaid messages", one.sync.unsaid, exchange._UNSAID + 1
        yield "documents owed", len(one.sync.debt()), len(life.replication.table)


def check_traffic(network: Network, nodes: int) -> None:
    """Raises: Violation, if the nodes talk without end."""
    if network.deliveries > _MOST_DELIVERIES * nodes:
        raise Violation(f"{network.deliveries} deliveries between {nodes} nodes")


async def settled(
    machines: dict[str, Machine], clients: Clients, copies: int | None, told: Callable[[str], object]
) -> list[Life]:
    """Waits until all clients have their answers, and all nodes are linked, agree, and have nothing left to do.

    Args:
        told: is told what it waits for, whenever that is something else.

    Raises:
        Violation: if it takes too long.
    """
    give_up = trio.current_time() + _PATIENCE
    pause, before = 0.1, None
    while True:
        lives = [machine.life for machine in machines.values() if machine.life is not None]
        unrest: str | None
        if len(lives) < len(machines):
            unrest = "not all nodes are up"
        elif clients.waiting:
            unrest = f"{clients.waiting} clients wait for an answer"
        else:
            unrest = next(chain(_unrest(lives), _displaced(lives, copies)), None)
        if unrest is None:
            return lives
        if trio.current_time() > give_up:
            raise Violation(f"{_PATIENCE:.0f} s after all was mended, {unrest}")
        if unrest != before:
            told(f"not yet: {unrest}")
        before = unrest
        await trio.sleep(pause)
        pause = min(1.0, pause * 1.5)


def _unrest(lives: list[Life]) -> Iterator[str]:
    first = lives[0]
    for life in lives:
        name = life.machine.name
        links, most = len(life.links.live()), life.machine.max_links
        if links > most or (links < len(lives) - 1 and len(lives) - 1 <= most):
            yield f"{name} has {links} links"
        if missed := [member.node_id for member in life.gossip.members.missed(trio.current_time())]:
            yield f"{name} misses {missed}"
        if (present := len(life.gossip.members.present)) != len(lives) - 1:
            yield f"{name} knows of {present} others"
        if life.library.digest() != first.library.digest():
            yield f"{name} has other documents than {first.machine.name}: {_difference(life, first)}"
        if life.store.durable_seq != life.store.last_seq or life.store.status().pending_bytes:
            yield f"{name} has not written all it has"
        if any(worker._schedule.waiting for worker in life.documents._workers):
            yield f"the engine of {name} is busy"
        for link, one in life.links.live():
            if owed := sorted(one.sync.debt()):
                yield f"{name} owes {owed} to {link.peer.node_id}"
            if one.sync.is_owing or one._unconfirmed:
                yield f"{name} has something to say to {link.peer.node_id}"
            if one._assembly._parts:
                yield f"{name} has parts of updates of {link.peer.node_id}"


def _displaced(lives: list[Life], copies: int | None) -> Iterator[str]:
    """Documents that are not on as many nodes as they are to be, though somebody has them."""
    if copies is None:
        return
    held = Counter(name for life in lives for name in life.held())
    whole = {name for life in lives for name in life.held(whole=True)}
    for name in sorted(whole):  # the others went with disks that were lost
        if held[name] != min(copies, len(lives)):
            yield f"{name} is on {sorted(life.machine.name for life in lives if name in life.held())}"


def _difference(one: Life, other: Life) -> dict[str, Any]:
    return _differing(one.states(), other.states())


def _differing(ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> dict[str, Any]:
    names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    return {name: (ours.get(name), theirs.get(name)) for name in names}


async def check(lives: list[Life], machines: dict[str, Machine], history: History, copies: int | None) -> None:
    """Raises: Violation."""
    first = lives[0]
    states, contents = first.states(), await first.json()
    for life in lives[1:]:
        if copies is None and life.states() != states:
            raise Violation(f"{life.machine.name} has another state with the same digest")
        if (theirs := await life.json()) != contents:
            raise Violation(f"{life.machine.name} and {first.machine.name} read {_differing(theirs, contents)}")
    for life in lives:
        check_bounds(life)
        if life.library._locks:
            raise Violation(f"{life.machine.name} holds locks of {sorted(life.library._locks)}")
    nodes = Nodes(
        {name: machine.lives for name, machine in machines.items()},
        {name: machine.lost_disks for name, machine in machines.items()},
    )
    lives_of_documents = {name: (incarnation, deleted) for name, (incarnation, deleted, *_) in states.items()}
    if violations := list(history.violations(nodes, lives_of_documents, contents)):
        raise Violation("; ".join(violations))
