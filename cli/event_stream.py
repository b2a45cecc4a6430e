"""Server-Sent Events (HTML Standard §9.2.6), as far as peatd sends them. No I/O."""

from dataclasses import dataclass

MAX_BYTES = 4 * 1024 * 1024
"""Of one event. A peer with all the annotations that Kubernetes allows is 256 KiB; what is larger is no peatd's."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event. `kind` is `document`, `peer` or `reset`; `data` the JSON that the API made of it."""

    kind: str
    id: str
    data: bytes


class Parser:
    """Bytes in, events out.

    Attributes:
        position: the id to go on from; None before the first.
    """

    def __init__(self, position: str | None = None) -> None:
        self.position = position
        self._rest = b""

    def feed(self, octets: bytes) -> list[Happened]:
        """The events that these bytes complete.

        Raises:
            ValueError: if this is no stream of events.
        """
        *blocks, self._rest = (self._rest + octets).split(b"\n\n")
        if len(self._rest) > MAX_BYTES:
            raise ValueError(f"an event of more than {MAX_BYTES} bytes")
        return [event for block in blocks if (event := self._event(block)) is not None]

    def _event(self, block: bytes) -> Happened | None:
        fields: dict[bytes, bytes] = {}
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            fields[name] = value.removeprefix(b" ")
        if b"id" in fields:
            self.position = fields[b"id"].decode("utf-8", "replace")
        if b"data" not in fields:
            return None
        return Happened(
            fields.get(b"event", b"message").decode("utf-8", "replace"), self.position or "", fields[b"data"]
        )
