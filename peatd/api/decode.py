"""What a request says, parsed once into types: query strings, `If-Match`, base64url and JSON bodies. Sans-IO.

Every decoder raises `Refusal` with status 400, whatever it is given.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from peatd.api.refusal import Refusal, bad_request
from peatd.library import APPLIED, DURABLE, Ack, IfMatch, replicated
from peatd.names import DocumentName, parse_document_name
from peatd.update import EMPTY_STATE_VECTOR

DEFAULT_TIMEOUT = 10.0
"""Seconds that a writer waits for its rung: a disk's sync takes milliseconds, a peer behind a slow link a second."""

MAX_TIMEOUT = 300.0
"""Seconds. Our choice: a waiting writer holds one of a few hundred connections."""

MAX_PEERS = 1000
"""Of `replicated:K`. Our choice, far above any formation that was tried."""

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
"""Documents in one answer: 1000 are about 150 KB of JSON."""

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_COUNT = re.compile(r"[0-9]{1,9}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")
# RFC 9110 §5.6.1 and §8.8.3: a list whose elements may be empty, of opaque tags that may be weak.
_ETAG_ELEMENT = re.compile(r'[ \t]*(?:(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*)?(?:,|\Z)')


class Query:
    """The parameters of a query string. A name that the route does not know is refused and not ignored: behind it may
    stand a wish (`?ack=`, misspelt) that would silently not be granted."""

    def __init__(self, pairs: Sequence[tuple[str, str]], known: Sequence[str]) -> None:
        self._values = dict(pairs)
        for name in self._values:
            if name not in known:
                hint = f"this route knows {', '.join(known)}" if known else "this route has none"
                raise bad_request(f"there is no parameter {name[:80]!r} here", hint)
        if len(self._values) != len(pairs):
            raise bad_request("a parameter is given twice", "give each parameter once")

    def get(self, name: str) -> str | None:
        return self._values.get(name)


@dataclass(frozen=True, slots=True)
class Wait:
    """How far a change shall have come before it is answered, and how long that may take."""

    ack: Ack
    timeout: float


def parse_wait(query: Query) -> Wait:
    """`?ack=applied|durable|replicated:K&timeout=SECONDS`."""
    ack, timeout = query.get("ack"), query.get("timeout")
    return Wait(DURABLE if ack is None else _parse_ack(ack), DEFAULT_TIMEOUT if timeout is None else _seconds(timeout))


def parse_limit(text: str | None) -> int:
    """`?limit=`, 1 to 1000."""
    if text is None:
        return DEFAULT_LIMIT
    if not _COUNT.fullmatch(text) or not 1 <= int(text) <= MAX_LIMIT:
        raise bad_request(f"limit is {text[:80]!r}", f"it is a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def parse_after(text: str | None) -> DocumentName | None:
    """`?after=COLLECTION/ID`, what `next` was in the answer before."""
    return None if text is None else parse_document_name(text)


def parse_state_vector(text: str | None) -> bytes:
    """`?sv=BASE64URL`; without one, that of a copy that has nothing."""
    return EMPTY_STATE_VECTOR if text is None else parse_base64url(text, "sv")


def parse_base64url(text: str, what: str) -> bytes:
    """RFC 4648 §5; the padding may be missing, but what is there must be right."""
    digits = text.rstrip("=")
    padding = "=" * (-len(digits) % 4)
    if not _BASE64URL.fullmatch(text) or len(digits) % 4 == 1 or text[len(digits) :] not in ("", padding):
        raise bad_request(f"{what} is not base64url", "RFC 4648 §5: letters, digits, '-' and '_', no line breaks")
    return urlsafe_b64decode(digits + padding)


def parse_if_match(lines: Sequence[str]) -> IfMatch | None:
    """The lines of `If-Match`: `*`, or a list of entity tags. None where there is no such line."""
    if not lines:
        return None
    text = ",".join(lines).strip(" \t")
    if text == "*":
        return IfMatch(any_version=True)
    etags, position, found = set(), 0, False
    while position < len(text):
        element = _ETAG_ELEMENT.match(text, position)
        if element is None:
            break
        weak, etag = element.groups()
        found |= etag is not None
        if etag is not None and not weak:
            etags.add(etag)
        position = element.end()
    if position < len(text) or not found:
        raise bad_request("If-Match does not parse", 'write * or the ETag of a version with its quotes: If-Match: "…"')
    return IfMatch(etags=frozenset(etags))


def parse_if_none_match(lines: Sequence[str]) -> IfMatch | None:
    """The lines of `If-None-Match` of a write: `*`, make it only if it is not there yet."""
    if not lines:
        return None
    if [line.strip(" \t") for line in lines] != ["*"]:
        raise bad_request("If-None-Match is not *", "a write knows If-None-Match: * and If-Match with ETags")
    return IfMatch(no_version=True)


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object (RFC 8259)."""
    try:
        value = msgspec.json.decode(body)
    except UnicodeDecodeError as exc:
        # Its position counts from the string's start: name the byte instead.
        raise _not_json(f"a string has the byte 0x{exc.object[exc.start]:02x}, which is not UTF-8") from exc
    except RecursionError as exc:
        raise _not_json("it is nested too deeply") from exc
    except msgspec.DecodeError as exc:
        raise _not_json(_with_position(str(exc), len(body))) from exc
    if not isinstance(value, dict):
        raise bad_request(f"the body is a JSON {_json_type(value)}", "send a JSON object, in braces")
    return value


_CURLS_OWN = "application/x-www-form-urlencoded"


def require_content_type(given: str | None, accepted: Sequence[str]) -> None:
    """Raises: Refusal, 415, for a body of another type. A body without a type is taken for what the route expects, and
    so is what curl calls any body by itself."""
    kind = (given or "").partition(";")[0].strip().lower()
    if kind not in ("", _CURLS_OWN, *accepted):
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            f"the body is {kind[:80]!r}",
            f"send Content-Type: {' or '.join(accepted)}",
        )


def _parse_ack(text: str) -> Ack:
    match text.split(":"):
        case ["applied"]:
            return APPLIED
        case ["durable"]:
            return DURABLE
        case ["replicated", peers] if _COUNT.fullmatch(peers) and 1 <= int(peers) <= MAX_PEERS:
            return replicated(int(peers))
    raise bad_request(f"ack is {text[:80]!r}", f"it is applied, durable or replicated:K with K from 1 to {MAX_PEERS}")


def _seconds(text: str) -> float:
    if not _SECONDS.fullmatch(text) or float(text) > MAX_TIMEOUT:
        raise bad_request(f"timeout is {text[:80]!r}", f"it is a number of seconds from 0 to {MAX_TIMEOUT:.0f}")
    return float(text)


def _not_json(why: str) -> Refusal:
    return bad_request(
        f"the body is not JSON: {why}", "RFC 8259 has the grammar; NaN, Infinity and comments are not in it"
    )


_WITHOUT_POSITION: Mapping[str, str] = {"Input data was truncated": "it ends too early"}


def _with_position(message: str, size_bytes: int) -> str:
    """msgspec names the byte of a fault, except where the fault is that there are no more bytes."""
    if message in _WITHOUT_POSITION:
        return f"{_WITHOUT_POSITION[message]} (byte {size_bytes})"
    return message.removeprefix("JSON is malformed: ")


def _json_type(value: object) -> str:
    match value:
        case list():
            return "array"
        case str():
            return "string"
        case None:
            return "null"
        case bool():
            return "boolean"
    return "number"
