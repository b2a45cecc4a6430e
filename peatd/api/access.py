"""Who may ask, and for what: the unix socket's owner and whoever has the node's token for everything, and who has a
client token for the documents that it names.

1. Probes are for everyone: the kubelet has no credentials, and they tell nothing that an open port does not.
2. A browser must not be made to ask for someone else's page. Its `Origin` has to be this very host; and a name that an
   attacker points at 127.0.0.1 (DNS rebinding) is not a name of a loopback listener.
3. A client of the unix socket is let in: the file's mode (0600) has judged it. Any other needs a bearer token.
4. The node's own token (api.token) is known to this node only. A client token (client_tokens.py) is known to every node
   of the formation: it is what a program has that reaches any of them through a Service.
"""

import hmac
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from quart import g, request
from quart_trio import QuartTrio

from peatd.api.refusal import Refusal
from peatd.client_tokens import Grant, verify
from peatd.errors import TokenRefused
from peatd.hosts import host_and_port, is_loopback_name

_DOTS = 2
"""Of a JWT (RFC 7515 §7.1). The node's own token has none."""
_READING = frozenset({"GET", "HEAD"})

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Entrance:
    """By which listener a request came.

    Attributes:
        private: the unix socket, which only its owner can open.
        loopback: bound to a loopback address.
    """

    private: bool
    loopback: bool


PUBLIC = Entrance(private=False, loopback=False)

ENTRANCE = "peatd.entrance"
"""Where in a connection's ASGI state its entrance stands."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows, as it stands in its headers; None where there is no such header."""

    host: str | None
    origin: str | None
    authorization: str | None


@dataclass(frozen=True, slots=True)
class Locks:
    """What opens the API.

    Attributes:
        token: of this node, for everything.
        keys: that client tokens may be signed with, now: a rotation exchanges them.
    """

    token: str
    keys: Callable[[], Sequence[bytes]]


def guard_routes(app: QuartTrio, locks: Locks, *, open_endpoints: Collection[str]) -> None:
    """Lets nobody in to any but the open endpoints without looking. Unknown routes are not open."""

    async def look() -> None:
        if request.endpoint in open_endpoints:
            return
        headers = request.headers
        shown = Credentials(headers.get("Host"), headers.get("Origin"), headers.get("Authorization"))
        grant = admit(shown, _entrance(), locks, time.time())
        g.subject = "" if grant is None else grant.who
        if grant is not None:
            permit(grant, request.method, request.view_args or {})

    app.before_request(look)


def writer() -> str:
    """Who makes the request that is being answered, for the quarantine: how, from where, and with whose token."""
    where = "unix socket" if _entrance().private else request.remote_addr
    return f"api {request.method} {where}" + (f" ({g.subject})" if g.subject else "")


def _entrance() -> Entrance:
    state: dict[str, Any] = request.scope.get("state") or {}
    entrance: Entrance = state.get(ENTRANCE, PUBLIC)
    return entrance


def admit(shown: Credentials, entrance: Entrance, locks: Locks, now: float) -> Grant | None:
    """What a request may ask for that may proceed; None: for everything.

    Args:
        now: seconds since 1970.

    Raises:
        Refusal: 403 for a wrong host or origin, 401 for a missing or wrong token.
    """
    if entrance.loopback and not is_loopback_name(shown.host):
        raise _forbidden(
            f"{(shown.host or '')[:80]!r} is not a name of this machine's loopback",
            "ask for localhost, 127.0.0.1 or [::1]; for other names, bind --api to an address that has them",
        )
    if shown.origin is not None and not _is_same_host(shown.origin, shown.host):
        raise _forbidden(
            f"a page of {shown.origin[:80]!r} may not ask this node",
            "the API is for programs; a page can ask a server of its own, which holds the token",
        )
    scheme, _, given = (shown.authorization or "").partition(" ")
    # As bytes, for compare_digest takes no text beyond ASCII; and in a time that tells nothing of the token.
    is_own = hmac.compare_digest(given.strip().encode("utf-8", "replace"), locks.token.encode())
    if entrance.private or (is_own and scheme.lower() == "bearer"):
        return None
    if not shown.authorization:
        raise _unauthorized("there is no token")
    if scheme.lower() != "bearer" or given.count(".") != _DOTS:
        raise _unauthorized("the token is wrong")
    try:
        return verify(given.strip(), locks.keys(), now)
    except TokenRefused as exc:
        raise _unauthorized(str(exc)) from exc


def permit(grant: Grant, method: str, named: Mapping[str, Any]) -> None:
    """Returns for a request that the bearer of a client token may make.

    Args:
        named: what the route names: `collection` and `document_id`, if it is about a document.

    Raises:
        Refusal: 403.
    """
    hint = f"the token is for {', '.join(grant.documents)[:200]}; for the rest there is the node's own api.token"
    if "document_id" not in named:
        raise _forbidden("a client's token is for documents, each by its name", hint)
    name = f"{named['collection']}/{named['document_id']}"
    if not grant.covers(name):
        raise _forbidden(f"the token is not for {name[:520]}", hint)
    if method not in _READING and not grant.may_write:
        raise _forbidden("the token is for reading", "make one with `peat token mint --write`")


def _unauthorized(message: str) -> Refusal:
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        message,
        "send `Authorization: Bearer` with what is in api.token in the data directory or what `peat token mint` makes, "
        "or use api.sock beside it",
        {"WWW-Authenticate": 'Bearer realm="peat"'},
    )


def _forbidden(message: str, hint: str) -> Refusal:
    return Refusal(HTTPStatus.FORBIDDEN, "forbidden", message, hint)


def _is_same_host(origin: str, host: str | None) -> bool:
    """Whether a page from this origin (RFC 6454; `null` where the browser hides it) is one of ours."""
    scheme, separator, authority = origin.partition("://")
    port = _DEFAULT_PORTS.get(scheme.lower())
    if not separator or port is None:
        return False
    ours = host_and_port(host or "", port)
    return ours is not None and ours == host_and_port(authority, port)
