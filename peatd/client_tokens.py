"""Tokens that let Yjs clients in: JWT (RFC 7519) signed with HS256. Sans-IO.

Every node of a formation can check them and whoever holds the key can make them, as the key follows from the formation
secret: HKDF with the purpose `client token` (formation.py). A backend that mints tokens is given that key alone; with
the secret itself it would be a node.

    {"sub": "alice", "exp": 1767225600, "documents": ["notes/*"], "access": "write"}

`sub` is who, `exp` until when; both are required. `documents` are names in which `*` stands for any characters of a
collection or an id. `access` is `read` or `write`. Other claims are let be; `nbf` counts where it is there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from peatd.errors import ConfigError, TokenRefused

READ, WRITE = "read", "write"

_ALGORITHM = "HS256"
_MAX_TOKEN_LENGTH = 4096
"""Characters: what a URL and a header carry everywhere. Hundreds of patterns fit."""
_MAX_SHOWN = 80
"""Characters of a subject, in a log or an answer."""
_PATTERN = re.compile(r"[A-Za-z0-9._:*-]{1,255}/[A-Za-z0-9._:*-]{1,255}")


@dataclass(frozen=True, slots=True)
class Grant:
    """What the bearer of a token may do.

    Attributes:
        subject: who, for the log.
        documents: patterns of names.
        expires: seconds since 1970.
        key: that has signed it: with the secret that it follows from, the grant ends.
    """

    subject: str
    documents: tuple[str, ...]
    may_write: bool
    expires: float
    key: bytes = field(default=b"", repr=False, compare=False)

    @property
    def who(self) -> str:
        """The subject as it is shown."""
        return self.subject[:_MAX_SHOWN]

    def covers(self, name: str) -> bool:
        """Whether the document is one of those that are meant."""
        return any(_matches(pattern, name) for pattern in self.documents)


def mint(key: bytes, *, subject: str, documents: Sequence[str], may_write: bool, expires: float) -> str:
    """A token that lets its bearer read, or read and write, these documents until `expires` (seconds since 1970).

    Raises:
        ConfigError: if there is no subject, no document or a pattern that no name could match.
    """
    import jwt

    if not subject:
        raise ConfigError("the token's subject is empty: say for whom it is, as in --subject alice")
    if not documents:
        raise ConfigError("the token names no documents: say which, as in --documents 'notes/*'")
    for pattern in documents:
        _check_pattern(pattern)
    access = WRITE if may_write else READ
    claims = {"sub": subject, "exp": int(expires), "documents": list(documents), "access": access}
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def verify(token: str, keys: Sequence[bytes], now: float) -> Grant:
    """What the token grants at `now` (seconds since 1970), if one of these keys has signed it.

    Raises:
        TokenRefused: if it is no token of ours, is over or not yet valid. The message never holds the token.
    """
    # Imported with the first token: it brings `cryptography` with it, 8 MiB that a node without tokens does without.
    import jwt

    if len(token) > _MAX_TOKEN_LENGTH:
        raise TokenRefused(f"the token has {len(token)} characters; {_MAX_TOKEN_LENGTH} are read at most")
    # PyJWT would ask the clock for `exp` and `nbf`; here the time comes as an argument.
    options: jwt.types.Options = {
        "require": ["sub", "exp"],
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
        "verify_aud": False,
    }
    for key in keys:
        try:
            claims = jwt.decode(token, key, algorithms=[_ALGORITHM], options=options)
        except jwt.InvalidSignatureError:
            continue
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise TokenRefused("the token is not one that `peat token mint` makes") from None
        return replace(_grant(claims, now), key=key)
    raise TokenRefused("the token is signed with a key that is not of this formation")


def _grant(claims: Mapping[str, Any], now: float) -> Grant:
    subject, documents, access = claims["sub"], claims.get("documents"), claims.get("access", READ)
    if not isinstance(documents, list) or not all(isinstance(p, str) and _PATTERN.fullmatch(p) for p in documents):
        raise TokenRefused('the token\'s `documents` is not a list of names like "notes/*"')
    if access not in (READ, WRITE):
        raise TokenRefused("the token's `access` is neither `read` nor `write`")
    expires, begins = _moment(claims, "exp"), _moment(claims, "nbf") if "nbf" in claims else now
    if expires <= now:
        raise TokenRefused("the token has expired")
    if begins > now:
        raise TokenRefused("the token is not valid yet: do the clocks agree?")
    return Grant(str(subject), tuple(documents), access == WRITE, expires)


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    # `not <` is true of NaN as well, which is neither before nor after.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise TokenRefused(f"the token's `{name}` is not a number of seconds since 1970")
    return float(value)


def _check_pattern(pattern: str) -> None:
    if not _PATTERN.fullmatch(pattern):
        raise ConfigError(f"{pattern[:80]!r} names no documents: write COLLECTION/ID, with * for any characters")


def _matches(pattern: str, name: str) -> bool:
    # The wanted parts in order, greedily from the left: linear, where a regular expression can be made to backtrack.
    wanted, held = pattern.split("/"), name.split("/")
    return len(wanted) == len(held) and all(_part_matches(*pair) for pair in zip(wanted, held, strict=True))


def _part_matches(pattern: str, part: str) -> bool:
    first, *rest = pattern.split("*")
    if not rest:
        return part == pattern
    *middle, last = rest
    if not part.startswith(first) or not part.endswith(last) or len(part) < len(first) + len(last):
        return False
    at, end = len(first), len(part) - len(last)
    for piece in middle:
        found = part.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
