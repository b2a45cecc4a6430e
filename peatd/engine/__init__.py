"""The child process that holds the CRDT library: see `engine.py` for what it answers, `documents.py` for who asks."""
