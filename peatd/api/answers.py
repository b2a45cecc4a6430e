"""Answers with a body: JSON or raw bytes."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from quart_trio.wrappers import TrioResponse


def json_answer(
    view: msgspec.Struct, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> TrioResponse:
    """The view as JSON."""
    return TrioResponse(
        msgspec.json.encode(view, order="deterministic"),
        status=status,
        headers=dict(headers or {}),
        content_type="application/json",
    )


def bytes_answer(body: bytes) -> TrioResponse:
    """Bytes as they are."""
    return TrioResponse(body, content_type="application/octet-stream")


def empty_answer() -> TrioResponse:
    """204. Without Content-Length, which RFC 9110 §8.6 forbids there."""
    answer = TrioResponse(b"", status=HTTPStatus.NO_CONTENT)
    del answer.headers["Content-Length"]
    del answer.headers["Content-Type"]
    return answer
