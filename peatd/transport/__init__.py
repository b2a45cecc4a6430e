"""Links between nodes: authenticated, alive, and ended on purpose where possible."""

from peatd.transport.converse import converse, dismiss
from peatd.transport.dial import dial
from peatd.transport.establish import initiate, receive
from peatd.transport.link import Exchange, Link, LinkEnd, LinkPeer
from peatd.transport.listener import listen
from peatd.transport.tls import Credentials

__all__ = [
    "Credentials",
    "Exchange",
    "Link",
    "LinkEnd",
    "LinkPeer",
    "converse",
    "dial",
    "dismiss",
    "initiate",
    "listen",
    "receive",
]
