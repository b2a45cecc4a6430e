"""That a notice was made by a node of the formation. Sans-IO.

All on a LAN hear the hashes by which a formation's nodes know each other there, and may say them of ghosts, by the
thousand. So for each hash a notice has a proof, by a key that follows from the secret; what has none gets little room
(`neighbours.py`), and none of that of others. What was proven once can be said again by anybody: it still says no more
than that somebody may answer there, and there are no more of those than there were nodes.
"""

import hmac
from collections.abc import Sequence
from dataclasses import replace

from peatd.discovery.dnssd import MAX_HASHES, MAX_HOSTS, Notice

_PROOF_BYTES = 8
"""Of a thousand guesses a second, for a century, one is right with a chance of one in five million."""


def prove(notice: Notice, keys: Sequence[bytes]) -> Notice:
    """The notice with its proofs.

    Args:
        keys: `Formation.notice_keys`, in the order of the notice's hashes.
    """
    return replace(notice, proofs=tuple(_proof(notice, key) for key in keys[:MAX_HASHES]))


def is_proven(notice: Notice, hashes: Sequence[str], keys: Sequence[bytes]) -> bool:
    """Whether it comes of somebody who knows one of our secrets.

    Args:
        hashes, keys: ours, of the same secrets in the same order.
    """
    ours = dict(zip(hashes, keys, strict=True))
    said = zip(notice.formations, notice.proofs, strict=False)
    return any(name in ours and hmac.compare_digest(proof, _proof(notice, ours[name])) for name, proof in said)


def _proof(notice: Notice, key: bytes) -> str:
    """About all that it says; the hosts in an order of their own, for records have none."""
    says = (notice.label, notice.node_id, notice.device_id, str(notice.port), *sorted(notice.hosts[:MAX_HOSTS]))
    return hmac.digest(key, "\0".join(says).encode(), "sha256")[:_PROOF_BYTES].hex()
