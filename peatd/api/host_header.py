"""`Host`, before anybody routes by it."""

from typing import Any


def with_a_host(scope: Any) -> Any:
    """The request (an ASGI scope), without a `Host` that can be no name (a label that is empty or too long).

    Werkzeug fails at one while the request is being set up: nobody could answer, and each was a traceback in the log.
    """
    headers = scope.get("headers", [])
    kept = [(name, value) for name, value in headers if name != b"host" or _is_name(value)]
    return scope if len(kept) == len(headers) else {**scope, "headers": kept}


def _is_name(host: bytes) -> bool:
    try:
        host.decode("ascii").encode("idna")
    except UnicodeError:
        return False
    return True
