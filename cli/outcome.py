"""How a command ends when it does not simply succeed: an exit code, and a sentence that ends with what to try."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes; scripts and probes rely on them."""

    YES = 0
    NO = 1
    USAGE = 2
    NO_ANSWER = 3
    API_FAILED = 4
    INTERRUPTED = 130
    """128 + SIGINT, as a shell reports it."""
    READER_GONE = 141
    """128 + SIGPIPE: what other programs end with under `| head`."""


class Stop(Exception):  # named for what it does: it ends the command
    """Ends the command. An empty message means that all is said."""

    def __init__(self, code: Exit, message: str = "") -> None:
        super().__init__(message)
        self.code = code
