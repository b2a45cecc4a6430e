"""Who is let in, and what they may do. Sans-IO.

1. The API's token has every right; a token of the formation (client_tokens.py) has those that it states. A wrong one is
   refused everywhere, on loopback too.
2. Without a token only this machine's own programs and pages are let in: on a listener that is bound to a loopback
   address, by a loopback name in `Host` (else a proxy in front of it would lend its place to the world), and with an
   `Origin` of loopback, a listed one, or none. A page from elsewhere that a browser here shows can connect to
   127.0.0.1, but not choose its `Origin`.
3. Where origins are listed, a page of another is refused, with a token too.
"""

import hmac
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from peatd.client_tokens import verify
from peatd.clients import closes
from peatd.clients.closes import Close
from peatd.clients.request import Refused, Visit
from peatd.errors import TokenRefused
from peatd.hosts import is_loopback_name
from peatd.names import DocumentName

_ANY_ORIGIN = "*"


@dataclass(frozen=True, slots=True)
class Rights:
    """What a client may do.

    Attributes:
        expires: seconds since 1970; None: never.
        subject: whose token it is; empty where the formation made none.
        is_accepted: whether the key that they stand on still is one of ours.
    """

    may_write: bool
    expires: float | None
    subject: str = ""
    is_accepted: Callable[[], bool] = lambda: True

    def end(self, now: float) -> Close | None:
        """How to end what they allow at `now`, seconds since 1970; None while they hold."""
        if self.expires is not None and now >= self.expires:
            return closes.EXPIRED
        return None if self.is_accepted() else closes.RETIRED


ALL_RIGHTS = Rights(may_write=True, expires=None)


class Door:
    """The rules of one listener.

    Args:
        api_token: of this node's API.
        keys: that client tokens may be signed with, now: a rotation exchanges them.
        origins: pages that are let in, as `scheme://host[:port]`; `*` is any.
        loopback: the listener is bound to a loopback address.
    """

    def __init__(
        self, api_token: str, keys: Callable[[], Sequence[bytes]], origins: Collection[str], *, loopback: bool
    ) -> None:
        self._api_token = api_token.encode()
        self._keys = keys
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self._loopback = loopback

    def greet(self, visit: Visit) -> None:
        """Judges what can be judged before a token is shown.

        Raises:
            Refused: 403.
        """
        if self._origins and visit.origin is not None and not self._is_listed(visit.origin):
            raise _forbidden(f"pages of {visit.origin[:80]!r} are not among those that --client-origin lists")

    def admit(self, visit: Visit, token: str | None, name: DocumentName, now: float) -> Rights:
        """What who shows this token may do with the document.

        Args:
            now: seconds since 1970.

        Raises:
            Refused: 401 without a token or with a wrong one, 403 if the token is not for this document.
        """
        if not token:
            return self._admit_without_token(visit)
        # As bytes, for compare_digest takes no text beyond ASCII; and in a time that tells nothing of the token.
        if hmac.compare_digest(token.encode("utf-8", "replace"), self._api_token):
            return ALL_RIGHTS
        try:
            grant = verify(token, self._keys(), now)
        except TokenRefused as exc:
            raise _unauthorized(str(exc)) from exc
        if not grant.covers(name):
            raise _forbidden(f"the token is not for {name}")
        return Rights(grant.may_write, grant.expires, grant.who, lambda: grant.key in self._keys())

    def _admit_without_token(self, visit: Visit) -> Rights:
        if not self._loopback:
            raise _unauthorized("there is no token: make one with `peat token mint` and send it as ?token=")
        if not is_loopback_name(visit.host):
            raise _unauthorized("without a token, connect to localhost, 127.0.0.1 or [::1] by that name")
        if visit.origin is not None and not (self._is_listed(visit.origin) or _is_loopback_origin(visit.origin)):
            raise _forbidden(f"a page of {visit.origin[:80]!r} needs a token, or to be listed by --client-origin")
        return ALL_RIGHTS

    def _is_listed(self, origin: str) -> bool:
        return _ANY_ORIGIN in self._origins or origin.lower() in self._origins


def _is_loopback_origin(origin: str) -> bool:
    scheme, separator, authority = origin.partition("://")
    return bool(separator) and scheme.lower() in ("http", "https") and is_loopback_name(authority)


def _unauthorized(message: str) -> Refused:
    return Refused(HTTPStatus.UNAUTHORIZED, message, (("WWW-Authenticate", 'Bearer realm="peat"'),))


def _forbidden(message: str) -> Refused:
    return Refused(HTTPStatus.FORBIDDEN, message)
