"""Errors as answers: one JSON shape, a status that fits, and a hint that says what to do about it.

`{"error": {"code", "message", "hint"}}`, whatever went wrong; see `views.ErrorBody` for what may stand beside it.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec
import structlog
from msgspec import UNSET
from quart import request
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from peatd import errors
from peatd.api.answers import json_answer
from peatd.api.refusal import Refusal
from peatd.api.views import ErrorBody, ErrorView
from peatd.errors import PeatError

log = structlog.get_logger("peatd.api")

RETRY_AFTER = 1
"""Seconds that `Retry-After` names with a 503: what we lack for now (the engine, the disk) is tried again every second
or so."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    code: str
    hint: str | None
    headers: Mapping[str, str] = field(default_factory=dict)


_ANSWERS: tuple[tuple[type[PeatError], _Answer], ...] = (  # the first that matches: subclasses stand above their bases
    (errors.InvalidName, _Answer(HTTPStatus.BAD_REQUEST, "invalid_name", None)),
    (
        errors.NoSuchDocument,
        _Answer(
            HTTPStatus.NOT_FOUND, "no_such_document", "GET /api/v1/documents lists those that are here; PUT makes one"
        ),
    ),
    (
        errors.DocumentEnded,
        _Answer(
            HTTPStatus.GONE,
            "document_ended",
            "that document was deleted, and this would bring it back: begin a new one from an empty Y.Doc",
        ),
    ),
    (
        errors.PreconditionFailed,
        _Answer(
            HTTPStatus.PRECONDITION_FAILED,
            "precondition_failed",
            "someone changed it: GET it again, make your change to that version and name its ETag in If-Match",
        ),
    ),
    (
        errors.MalformedUpdate,
        _Answer(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "malformed_update",
            "send the bytes of one Yjs update in format v1, as Y.encodeStateAsUpdate makes them",
        ),
    ),
    (
        errors.MissingUpdates,
        _Answer(
            HTTPStatus.CONFLICT,
            "missing_updates",
            "send an update made for state_vector, as Y.encodeStateAsUpdate(doc, stateVector) makes it",
        ),
    ),
    (
        errors.Overtaken,
        _Answer(
            HTTPStatus.CONFLICT,
            "overtaken",
            "make the change again, to the document as it is now, or to a new one; it stands on no node any more",
        ),
    ),
    (
        errors.InvalidEdit,
        _Answer(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_edit", "change the value that the message names"),
    ),
    (
        errors.TooLarge,
        _Answer(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", "make smaller changes, or spread them over more documents"
        ),
    ),
    (
        errors.Quarantined,
        _Answer(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "quarantined",
            "the engine could not survive this update, so it was set aside; make the change again as a new update",
        ),
    ),
    (
        errors.AckTimeout,
        _Answer(
            HTTPStatus.GATEWAY_TIMEOUT,
            "ack_timeout",
            "the change is made and stays; wait longer with ?timeout=, or ask for a lower rung with ?ack=",
        ),
    ),
    (
        errors.Barred,
        _Answer(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "barred",
            "the other documents are well; DELETE this one and write it anew, or run the node with the other --engine",
        ),
    ),
    (
        errors.Unavailable,
        _Answer(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "unavailable",
            "try again soon; GET /api/v1/ready says which part is not ready",
            {"Retry-After": str(RETRY_AFTER)},
        ),
    ),
    (
        errors.SecretFixed,
        _Answer(
            HTTPStatus.CONFLICT,
            "secret_fixed",
            "change it where it comes from, in the same steps; GET /api/v1/secrets shows what this node accepts",
        ),
    ),
    (
        errors.RotationRefused,
        _Answer(HTTPStatus.CONFLICT, "rotation_refused", "GET /api/v1/peers shows by `secrets` who accepts what"),
    ),
    (
        errors.RevocationsFull,
        _Answer(HTTPStatus.CONFLICT, "revocations_full", "rotate the formation secret: it keeps all old keys out"),
    ),
    (
        errors.StoreError,
        _Answer(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "store_unreadable",
            "the other documents are well, and another node may have this one: the message says what to do here",
        ),
    ),
)

_HTTP_HINTS = {
    HTTPStatus.NOT_FOUND: "the routes are /api/v1/node, /peers, /topology, /documents, /events, /quarantine, /secrets, "
    "/revocations and the probes; Yjs clients connect to the listener that --clients names",
    HTTPStatus.METHOD_NOT_ALLOWED: "the Allow header names the methods of this route",
    HTTPStatus.REQUEST_TIMEOUT: "send the whole body at once, or over a better connection",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "a body has at most 1 MiB: split the change into smaller ones",
}


def answer_errors(app: QuartTrio) -> None:
    """Makes every error of the app's routes an answer in the one shape."""
    app.register_error_handler(PeatError, _answer_ours)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unexpected)


def error_body(code: str, message: str, hint: str | None) -> bytes:
    """The JSON of an error, for answers that are made below the app."""
    return msgspec.json.encode(ErrorBody(ErrorView(code, message, hint)))


async def _answer_ours(exc: PeatError) -> TrioResponse:
    if isinstance(exc, Refusal):
        answer = _Answer(exc.status, exc.code, exc.hint, exc.headers)
    else:
        found = next((answer for kind, answer in _ANSWERS if isinstance(exc, kind)), None)
        if found is None:
            return await _answer_unexpected(exc)
        answer = found
    body = ErrorBody(
        ErrorView(answer.code, str(exc), answer.hint),
        state_vector=_base64url(exc.state_vector) if isinstance(exc, errors.MissingUpdates) else UNSET,
        reached=exc.reached if isinstance(exc, errors.AckTimeout) else UNSET,
    )
    return json_answer(body, answer.status, answer.headers)


async def _answer_http(exc: HTTPException) -> TrioResponse:
    """What the framework refuses by itself: an unknown route or method, a body that is too large or too slow."""
    status = HTTPStatus(exc.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {}
    if isinstance(exc, MethodNotAllowed) and exc.valid_methods:
        headers["Allow"] = ", ".join(sorted(exc.valid_methods))
    if status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT):
        headers["Connection"] = "close"  # the rest of the body is not read: the client is not to send another request
    code = status.phrase.lower().replace(" ", "_").replace("-", "_")
    message = exc.description or status.phrase
    if status is HTTPStatus.NOT_FOUND:
        message = f"there is no route {request.path[:80]!r}"
    return json_answer(ErrorBody(ErrorView(code, message, _HTTP_HINTS.get(status))), status, headers)


async def _answer_unexpected(exc: Exception) -> TrioResponse:
    """A fault of ours. The log has all of it; the answer has nothing, for it may hold what the client must not see."""
    log.error("api.request_failed", exc_info=exc)
    view = ErrorView("internal", "the request failed inside the daemon", "its log says why, with a traceback")
    return json_answer(ErrorBody(view), HTTPStatus.INTERNAL_SERVER_ERROR)


def _base64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode("ascii").rstrip("=")
