"""`peat node`: who this node is, and whose key is revoked."""

import datetime
import hashlib
import json
from typing import Annotated

import msgspec
import typer

from cli import render
from cli.client import Answer
from cli.options import Verb, Verbs, accept, daemon, options, reply
from cli.outcome import Exit, Stop
from cli.render import NOTHING, duration, facts, table

node = typer.Typer(cls=Verbs, help="Who this node is, and where it listens.")

_CREATED = 201
_DEVICE_ID_LENGTH, _PUBLIC_KEY_LENGTH = 32, 64
"""Hex digits."""


class _Relay(msgspec.Struct):
    url: str
    state: str
    since_secs: float | None
    error: str | None


class _Node(msgspec.Struct):
    node_id: str
    device_id: str
    public_key: str
    formation: str
    uptime_secs: float
    version: str
    addresses: dict[str, str | None]
    documents: int
    digest: str
    secrets: list[str] = []  # msgspec makes a new one each time
    relays: list[_Relay] = []


class _Revocation(msgspec.Struct):
    device_id: str
    revoked_at: int
    issuer: str


class _Revocations(msgspec.Struct):
    revocations: list[_Revocation]


@node.callback(invoke_without_command=True)
def show(ctx: typer.Context) -> None:
    """Who this node is, and where it listens."""
    if ctx.invoked_subcommand is None:
        reply(ctx, daemon(ctx).ask("GET", "/node"), _text)


@node.command(cls=Verb)
def revoke(
    ctx: typer.Context,
    device_id: Annotated[
        str | None, typer.Argument(metavar="[DEVICE-ID]", help="Whose; a public key will do.", show_default=False)
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="Show all keys that are revoked.")] = False,
) -> None:
    """Revokes a node's key, on all nodes and for ever: its links end, and none of them links with it again.

    Whoever holds the formation secret can make another key: rotate the secret too, and keep the new one from it.
    """
    if show_list != (device_id is None):
        raise Stop(Exit.USAGE, "say whose key: peat node revoke DEVICE-ID, as `peat peers` shows it; or --list")
    if device_id is None:
        return reply(ctx, daemon(ctx).ask("GET", "/revocations"), _list)
    body = json.dumps({"device_id": _device_id(device_id)}).encode()
    answer = daemon(ctx).ask("POST", "/revocations", body=body)
    accept(ctx, answer)
    if not options(ctx).as_json:
        found = answer.parse(_Revocation)
        render.say(f"revoked {found.device_id}" if answer.status == _CREATED else f"{found.device_id} was revoked")
    render.note("who holds the formation secret can make another key; `peat secret rotate` ends that")
    return None


def _device_id(given: str) -> str:
    text = given.strip().lower()
    if len(text) in (_DEVICE_ID_LENGTH, _PUBLIC_KEY_LENGTH) and set(text) <= set("0123456789abcdef"):
        is_key = len(text) == _PUBLIC_KEY_LENGTH
        return hashlib.sha256(bytes.fromhex(text)).hexdigest()[:_DEVICE_ID_LENGTH] if is_key else text
    raise Stop(Exit.USAGE, f"{given[:80]!r} is no device id (32 hex digits) nor public key (64); `peat peers` has them")


def _list(answer: Answer) -> str:
    found = answer.parse(_Revocations).revocations
    rows = [(one.device_id, _moment(one.revoked_at), one.issuer) for one in found]
    return table(("DEVICE ID", "REVOKED AT", "TOLD AT"), rows) if rows else "no keys are revoked\n"


def _moment(seconds: int) -> str:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _text(answer: Answer) -> str:
    found = answer.parse(_Node)
    return facts(
        [
            ("node id", found.node_id),
            ("device id", found.device_id),
            ("public key", found.public_key),
            ("formation", found.formation),
            ("secrets", ", ".join(found.secrets) or NOTHING),
            ("version", found.version),
            ("up", duration(found.uptime_secs)),
            ("documents", str(found.documents)),
            ("digest", found.digest),
            *((f"listens {what}", where or NOTHING) for what, where in found.addresses.items()),
            *(("relay", _relay(relay)) for relay in found.relays),
        ]
    )


def _relay(relay: _Relay) -> str:
    since = "" if relay.since_secs is None else f" for {duration(relay.since_secs)}"
    error = "" if relay.error is None else f": {relay.error}"
    return f"{relay.url} {relay.state}{since}{error}"
