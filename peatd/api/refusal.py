"""A request that is refused at the door, before it reaches a document. Sans-IO."""

from collections.abc import Mapping
from http import HTTPStatus

from peatd.errors import PeatError


class Refusal(PeatError):
    """The request's own fault: it does not parse, or it may not ask.

    Attributes:
        status: the HTTP status.
        code: for programs, in snake_case.
        hint: what to do about it.
        headers: that the answer needs, such as WWW-Authenticate.
    """

    def __init__(
        self, status: HTTPStatus, code: str, message: str, hint: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.hint = hint
        self.headers = headers or {}


def bad_request(message: str, hint: str) -> Refusal:
    """What was sent does not parse."""
    return Refusal(HTTPStatus.BAD_REQUEST, "bad_request", message, hint)
