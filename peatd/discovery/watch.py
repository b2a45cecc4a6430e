"""What an API server's answers to list and watch mean, and what to do when they end. Sans-IO.

Words: a *round* is a list, unless one goes on from a known resource version, and the watch that follows it. A round
always ends; its *ending* says why, and from that follows how long to wait and whether the next one lists anew.

A watch says only what changes after its resource version. So whenever we cannot be sure to have read every line since
then, the next round lists: after 410, after a line that does not parse, and in any case once per poll interval.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from peatd.discovery.endpointslice import Slice, parse_endpoint_slice
from peatd.errors import DiscoveryError, MalformedSlice

RESOURCE = "endpointslices.discovery.k8s.io"

QUICK = 1.0
"""A watch that ends within this many seconds did not work, whatever it says, and the next one waits."""

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 30.0
_LONGEST_RETRY_AFTER = 120.0
"""Above what API servers ask for (1 to 30 s): a wrong header must not silence discovery for a day."""

Verb = Literal["list", "watch"]


class Cause(Enum):
    """Why a round ended."""

    DONE = "the watch ended in order"
    EXPIRED = "the resource version is gone (410)"
    FORBIDDEN = "401 or 403"
    FAILED = "anything else: no connection, a cut, silence, a 5xx"
    NONSENSE = "an answer that does not parse"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a round ended.

    Attributes:
        message: for the operator.
        lasted: seconds since the request that ended was made.
        retry_after: seconds that the API server asked for, if it did.
        renew: our credentials were refused (401): read them anew.
    """

    verb: Verb
    cause: Cause
    message: str
    lasted: float = 0.0
    retry_after: float | None = None
    renew: bool = False

    @property
    def may_resume(self) -> bool:
        """Whether the last resource version still stands for all that we know."""
        return self.verb == "watch" and self.cause not in (Cause.EXPIRED, Cause.NONSENSE)

    @property
    def is_quick(self) -> bool:
        return self.verb == "list" or self.lasted < QUICK


def pause(ending: Ending, quick_before: int, chance: float) -> float:
    """Seconds to wait after a round.

    Args:
        quick_before: how many rounds in a row ended quickly in the same verb before this one.
        chance: a random number in [0, 1): full jitter, so that a thousand pods do not come back as one.
    """
    if ending.retry_after is not None:
        return min(ending.retry_after, _LONGEST_RETRY_AFTER) + chance
    if ending.cause is Cause.EXPIRED and not quick_before:
        return 0.0
    if ending.cause is Cause.DONE and not ending.is_quick:
        return 0.0
    return chance * float(min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** min(quick_before, 10)))


def refusal(verb: Verb, status: int, body: bytes, *, namespace: str, retry_after: str | None, lasted: float) -> Ending:
    """The ending that an HTTP status other than 2xx, or an ERROR event with that code, is."""
    said = _status_message(body)
    where = f'{verb} {RESOURCE} in namespace "{namespace}"'
    if status == 410:
        return Ending(verb, Cause.EXPIRED, f"cannot {where}: {said or 'expired'} (410)", lasted)
    if status == 401:
        message = f"cannot {where}: the API server does not accept our credentials (401)"
        return Ending(verb, Cause.FORBIDDEN, message, lasted, renew=True)
    if status == 403:
        message = (
            f"not allowed to {where} (403): the role must give verbs [list, watch] on resource endpointslices"
            " of API group discovery.k8s.io"
        )
        return Ending(verb, Cause.FORBIDDEN, message, lasted)
    seconds = _seconds(retry_after) if status in (429, 503, 504) else None
    return Ending(verb, Cause.FAILED, f"cannot {where}: {said or 'refused'} ({status})", lasted, seconds)


def _status_message(body: bytes) -> str:
    try:
        status = json.loads(body)
    except ValueError:
        return ""
    message = status.get("message") if isinstance(status, dict) else None
    return message[:300] if isinstance(message, str) else ""


def _seconds(retry_after: str | None) -> float | None:
    # The other form, an HTTP date, is not one that API servers use: then our own backoff holds.
    text = (retry_after or "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


class Nonsense(DiscoveryError):
    """An answer of the API server that does not parse."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Attributes:
        unread: names of slices that could not be read, and why.
        next: the token that asks for the next page.
    """

    slices: Mapping[str, Slice]
    unread: Mapping[str, str]
    resource_version: str
    next: str | None


@dataclass(frozen=True, slots=True)
class SliceChanged:
    name: str
    content: Slice


@dataclass(frozen=True, slots=True)
class SliceGone:
    name: str


@dataclass(frozen=True, slots=True)
class SliceUnread:
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class WatchFailed:
    """The API server ends the watch, with a status of its own under an HTTP 200."""

    code: int
    body: bytes


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch; a bookmark has no change, only the resource version from which a watch would go on."""

    change: SliceChanged | SliceGone | SliceUnread | None
    resource_version: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A complete list."""

    slices: dict[str, Slice]
    unread: dict[str, str]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Watching:
    """The API server has accepted the watch."""


Answer = Listed | Watching | WatchEvent


def read_page(body: bytes, annotation_prefix: str) -> Page:
    """Reads a page of a list.

    Raises:
        Nonsense: if it is not one.
    """
    page = _object(_json(body))
    metadata = _object(page.get("metadata"))
    items = page.get("items")
    if not isinstance(items, list | None):
        raise Nonsense("the list's items are not a list")
    slices: dict[str, Slice] = {}
    unread: dict[str, str] = {}
    for item in items or ():
        name, change = _slice(_object(item), annotation_prefix)
        if isinstance(change, SliceChanged):
            slices[name] = change.content
        else:
            unread[name] = change.reason
    following = metadata.get("continue")
    return Page(slices, unread, _version(metadata), following if isinstance(following, str) and following else None)


def read_line(line: bytes, annotation_prefix: str) -> WatchEvent | WatchFailed:
    """Reads a line of a watch.

    Raises:
        Nonsense: if it is not one.
    """
    event = _object(_json(line))
    kind, seen = event.get("type"), _object(event.get("object"))
    if kind == "ERROR":
        code = seen.get("code")
        return WatchFailed(code if isinstance(code, int) else 500, json.dumps(seen).encode())
    version = _version(_object(seen.get("metadata")))
    if kind == "BOOKMARK":
        return WatchEvent(None, version)
    name, change = _slice(seen, annotation_prefix)
    if kind == "DELETED":
        return WatchEvent(SliceGone(name), version)
    if kind in ("ADDED", "MODIFIED"):
        return WatchEvent(change, version)
    raise Nonsense(f"the watch says {str(kind)[:40]!r}, which is no type of event")


def _slice(fields: Mapping[str, object], annotation_prefix: str) -> tuple[str, SliceChanged | SliceUnread]:
    name = _object(fields.get("metadata")).get("name")
    if not isinstance(name, str) or not name:
        raise Nonsense("an object has no name")
    try:
        return name, SliceChanged(name, parse_endpoint_slice(fields, annotation_prefix))
    except MalformedSlice as exc:
        return name, SliceUnread(name, str(exc))


def _json(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise Nonsense(f"the API server sent {text[:60]!r}, which is not JSON") from exc


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise Nonsense(f"the API server sent {str(value)[:60]!r} where an object belongs")
    return value


def _version(metadata: Mapping[str, object]) -> str:
    version = metadata.get("resourceVersion")
    if not isinstance(version, str) or not version:
        raise Nonsense("an object has no resourceVersion")
    return version
