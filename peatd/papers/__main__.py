"""`python -m peatd.papers`: mints one node's papers. Its node starts it; nobody else has a use for it.

Reads an order from stdin to its end and writes the papers to stdout, both in msgpack: no secret is in an argument, in
the environment or on a disk.
"""

import signal
import sys

import msgspec

from peatd.papers.order import Order


def main() -> int:
    # Ctrl-C in a terminal, and a stop of the whole control group, are the node's to obey: this is done in no time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from peatd.papers.certificates import mint

    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Order)
    sys.stdout.buffer.write(msgspec.msgpack.encode(mint(order)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
