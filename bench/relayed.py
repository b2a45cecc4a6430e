"""A first sync of documents between two real nodes, directly and by a relay."""

import random
import string
import time
from pathlib import Path

from bench.daemons import Daemon

_NOWHERE = "127.0.0.1:9"
"""Where nobody listens: whoever is to be found there is reached by a relay."""
_VALUE_BYTES = 250_000
_ALICE = "alice-with-documents"


def synced(directory: Path, relay: str | None, number: int, *, quick: bool) -> float:
    """MB/s, from the link until all is there, with room for all that is on its way.

    Args:
        relay: URL of the one that both use; None to link directly.
        number: of this sync, which is another new node's.
    """
    count = 40 if quick else 200
    options = [] if relay is None else ["--relay", relay]
    with Daemon(directory, _ALICE, *options).wait_ready() as alice:
        for document in range(count):
            if alice.ask("GET", f"documents/bench/{document}")[0] != 200:
                value = "".join(random.choices(string.ascii_letters, k=_VALUE_BYTES))
                alice.ask("PUT", f"documents/bench/{document}", {"value": value})
        peer = f"{_ALICE}@{alice.mesh if relay is None else _NOWHERE}"
        with Daemon(directory, f"newcomer-{number}", "--peer", peer, *options).wait_ready() as newcomer:
            newcomer.wait_linked(1)
            started = time.perf_counter()
            newcomer.wait_documents(count)
            took = time.perf_counter() - started
    return count * _VALUE_BYTES / 1e6 / took
