"""Where the nodes of a demo live and listen, and what each is started with."""

import random
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from peatd.names import Address

NAMES = ("node-1", "node-2", "node-3")

_HOST = "127.0.0.1"
_PORTS = range(10_000, 32_000)
"""Below those that systems give to whoever dials or asks for any (Linux 32768, others 49152): a node's port is
still free when the node is started again."""


@dataclass(frozen=True, slots=True)
class Place:
    """One node's.

    Attributes:
        mesh, api, clients: where it listens.
        directory: its data directory.
        log: a file, which each start goes on with.
    """

    name: str
    directory: Path
    log: Path
    mesh: Address
    api: Address
    clients: Address


def lay_out(directory: Path) -> list[Place]:
    """A place for each node, with ports that are free now."""
    addresses = [Address(_HOST, port) for port in _free_ports(3 * len(NAMES))]
    return [
        Place(name, directory / name, directory / f"{name}.log", *addresses[3 * number : 3 * number + 3])
        for number, name in enumerate(NAMES)
    ]


def command(place: Place, places: Sequence[Place], formation_secret: Path, more: Sequence[str]) -> list[str]:
    """Starts an ordinary node: nothing in it knows of a demo."""
    others = [f"{other.name}@{other.mesh}" for other in places if other is not place]
    return [
        *(sys.executable, "-P", "-m", "peatd"),  # -P: not a `peatd` that lies in the working directory
        *("--config", "/dev/null"),  # what is set for a node of this machine is not for these
        *("--node-id", place.name),
        *("--data-dir", str(place.directory)),
        *("--formation-secret-file", str(formation_secret)),
        *("--bind", str(place.mesh)),
        *("--api", str(place.api)),
        *("--clients", str(place.clients)),
        *("--demo-page", ",".join(f"{each.name}@{each.clients}" for each in places)),
        *("--discovery", "static"),
        *(word for peer in others for word in ("--peer", peer)),
        *more,
    ]


def _free_ports(count: int) -> Iterator[int]:
    """Different ports that nobody listens on."""
    with ExitStack() as held:  # each until all are found, so that none is found twice
        while count:
            port = random.choice(_PORTS)
            try:
                held.enter_context(socket.socket()).bind((_HOST, port))
            except OSError:
                continue
            count -= 1
            yield port
