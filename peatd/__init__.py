"""peatd: a node that finds its peers and replicates Yjs documents with them."""

__version__ = "0.1.0"
