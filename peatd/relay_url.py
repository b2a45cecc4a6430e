"""What a relay is called: `tcp://HOST:PORT`, `https://HOST[:PORT][/PATH]`, or the same with `http`. Sans-IO.

By `https` the relay itself is proven, by an ordinary certificate, and what it is told is hidden from the network. By
the other two neither: what is told is ids and sizes, for a link inside is as safe as one that goes directly.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from peatd.names import Address

TCP, HTTP, HTTPS = "tcp", "http", "https"

DEFAULT_PATH = "/relay"

_PORTS = {HTTP: 80, HTTPS: 443}
_LINE = re.compile(r"[!-~]{1,2000}")
_FORMS = "write https://HOST[:PORT] or tcp://HOST:PORT"


@dataclass(frozen=True, slots=True)
class RelayUrl:
    """A relay's URL, taken apart.

    Attributes:
        text: as the operator wrote it.
        path: what is asked for by HTTP.
    """

    text: str
    scheme: str
    address: Address
    path: str = DEFAULT_PATH

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> "RelayUrl":
        """User and password are refused: the URL is shown to whoever asks for the peers.

        Raises:
            ValueError: if it is no relay's; the message does not repeat it.
        """
        if not _LINE.fullmatch(text):
            raise ValueError(f"is not a relay's URL: {_FORMS}")
        try:
            url = urlsplit(text)
            host, port = url.hostname, url.port
        except ValueError:
            raise ValueError(f"is not a relay's URL: {_FORMS}") from None
        if url.scheme not in (TCP, HTTP, HTTPS) or not host or port == 0:
            raise ValueError(f"is not a relay's URL: {_FORMS}")
        if url.username is not None or url.password is not None:
            raise ValueError("holds a user or a password, which would be shown: leave them out")
        if url.scheme == TCP and (port is None or url.path not in ("", "/") or url.query):
            raise ValueError("is not a relay's URL: tcp://HOST:PORT has a port and no path")
        if url.query or url.fragment:
            raise ValueError("is not a relay's URL: it has a query or a fragment, leave them out")
        try:
            bracketed = f"[{host}]" if ":" in host else host
            address = Address.parse(f"{bracketed}:{port or _PORTS[url.scheme]}")
        except ValueError:
            raise ValueError(f"is not a relay's URL: {_FORMS}") from None
        return cls(text, url.scheme, address, url.path if url.path not in ("", "/") else DEFAULT_PATH)
