"""A node's papers: the certificates that it shows and trusts in TLS. Sans-IO but for minting.py and __main__.py.

`certificates.py` mints them, with `cryptography`, in a process of its own that ends at once (`__main__.py`, started by
`minting.py`): the library would hold 8 MiB for as long as the node runs. `leaf.py` reads a peer's, without it.
"""

from peatd.papers.order import Leaf, Order, Papers

__all__ = ["Leaf", "Order", "Papers"]
