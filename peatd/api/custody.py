"""Who belongs to the formation: its secrets, and the keys that are revoked.

A new secret comes in by the unix socket or a loopback address alone: this API has no TLS of its own, and whoever reads
the secret on the way is of the formation. None ever goes out.
"""

from http import HTTPStatus
from typing import Any

import msgspec
from quart import request
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse

from peatd.api.access import ENTRANCE, PUBLIC, Entrance
from peatd.api.answers import json_answer
from peatd.api.custody_views import Custody, RevocationsView
from peatd.api.decode import require_content_type
from peatd.api.documents import read_body, read_query
from peatd.api.refusal import Refusal, bad_request
from peatd.errors import ConfigError
from peatd.formation import parse_formation_secret
from peatd.names import DeviceId, Fingerprint
from peatd.rotation import Install, Remove, Step, Use


class _InstallBody(msgspec.Struct, tag_field="step", tag="install", forbid_unknown_fields=True):
    secret: str


class _UseBody(msgspec.Struct, tag_field="step", tag="use", forbid_unknown_fields=True):
    fingerprint: str


class _RemoveBody(msgspec.Struct, tag_field="step", tag="remove", forbid_unknown_fields=True):
    fingerprint: str
    force: bool = False


class _RevokeBody(msgspec.Struct, forbid_unknown_fields=True):
    device_id: str


_StepBody = _InstallBody | _UseBody | _RemoveBody

_STEPS_HINT = (
    '{"step": "install", "secret": BASE64}, {"step": "use", "fingerprint": HEX} or '
    '{"step": "remove", "fingerprint": HEX, "force": false}'
)
_DEVICE_ID_LENGTH = 32


def add_custody_routes(app: QuartTrio, custody: Custody) -> None:
    """`/secrets` and `/revocations`."""

    async def secrets() -> TrioResponse:
        read_query()
        return json_answer(custody.secrets())

    async def take_step() -> TrioResponse:
        read_query()
        _require_this_machine()
        body = await _read(_StepBody, _STEPS_HINT)
        await custody.take(_step(body), force=isinstance(body, _RemoveBody) and body.force)
        return json_answer(custody.secrets())

    async def revocations() -> TrioResponse:
        read_query()
        found = custody.revoked()
        return json_answer(RevocationsView(found, len(found)))

    async def revoke() -> TrioResponse:
        read_query()
        body = await _read(_RevokeBody, '{"device_id": HEX}, as GET /api/v1/peers shows it')
        view, is_new = await custody.revoke(_device_id(body.device_id))
        return json_answer(view, HTTPStatus.CREATED if is_new else HTTPStatus.OK)

    app.add_url_rule("/api/v1/secrets", view_func=secrets)
    app.add_url_rule("/api/v1/secrets", view_func=take_step, methods=["POST"])
    app.add_url_rule("/api/v1/revocations", view_func=revocations)
    app.add_url_rule("/api/v1/revocations", view_func=revoke, methods=["POST"])


def own_key(device_id: DeviceId) -> Refusal:
    """What is said to whoever wants to revoke the very node that it asks."""
    message = f"{device_id} is this node itself: it would be the first that nobody believes"
    return Refusal(HTTPStatus.CONFLICT, "own_key", message, "revoke it on a node that stays")


def _require_this_machine() -> None:
    state: dict[str, Any] = request.scope.get("state") or {}
    entrance: Entrance = state.get(ENTRANCE, PUBLIC)
    if not (entrance.private or entrance.loopback):
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "forbidden",
            "the formation secret is not changed over a network that may be listened to",
            "use api.sock in the data directory, on the node itself",
        )


async def _read(shape: Any, hint: str) -> Any:
    require_content_type(request.content_type, ["application/json"])
    try:
        return msgspec.json.decode(await read_body(), type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Without the cause: it may quote what was given, and that may be a secret.
        raise bad_request("the body is not what this route takes", f"send {hint}") from None


def _step(body: _StepBody) -> Step:
    match body:
        case _InstallBody():
            try:
                (secret,) = parse_formation_secret(body.secret, "the body's `secret`")
            except ConfigError as exc:
                raise bad_request(str(exc), "send one secret, as `peat secret new` makes it") from None
            except ValueError:
                raise bad_request("there are several secrets", "install one at a time") from None
            return Install(secret)
        case _UseBody():
            return Use(Fingerprint(body.fingerprint))
        case _RemoveBody():
            return Remove(Fingerprint(body.fingerprint))


def _device_id(text: str) -> DeviceId:
    if len(text) != _DEVICE_ID_LENGTH or not set(text) <= set("0123456789abcdef"):
        raise bad_request(f"{text[:80]!r} is no device id", "32 lower-case hex digits; GET /api/v1/peers has them")
    return DeviceId(text)
