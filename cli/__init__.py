"""`peat`: the operator's command line; it talks to the local node's HTTP API."""
