"""WebSocket frames of a server, made once for all who receive them (RFC 6455 §5.2). Sans-IO.

A server does not mask, so a frame is the same for every client. wsproto makes one too, but as a copy of its payload;
here the payload of a large one goes out from where it is.
"""

_BINARY = 0x82
"""FIN, and the opcode of a binary message."""


def head(payload_bytes: int) -> bytes:
    """What stands before a binary message of this length."""
    if payload_bytes < 126:
        return bytes((_BINARY, payload_bytes))
    if payload_bytes < 2**16:
        return bytes((_BINARY, 126)) + payload_bytes.to_bytes(2)
    return bytes((_BINARY, 127)) + payload_bytes.to_bytes(8)


def frame(message: bytes) -> bytes:
    """A binary message as one frame."""
    return head(len(message)) + message
