"""`peat token`: what lets programs and Yjs clients in. Asks no daemon: every node of the formation can check it."""

import base64
import json
import math
import os
import re
import time
from pathlib import Path
from typing import Annotated

import typer

from cli import render
from cli.options import Verb, Verbs, options
from cli.outcome import Exit, Stop
from cli.seed_file import DEFAULT_SEED_FILE, find_secret

token = typer.Typer(cls=Verbs, help="Tokens that let programs and Yjs clients in.", no_args_is_help=True)

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_MAX_TTL = 10 * 365 * 86400
"""Ten years: beyond that it is a slip of the hand."""

_SecretFile = Annotated[
    str | None,
    typer.Option(
        "--seed-file",
        metavar="PATH",
        help="The formation secret, as the daemon reads it; - is stdin. By default PEAT_FORMATION_SECRET_FILE, else "
        f"the one in the data directory, else {DEFAULT_SEED_FILE}.",
    ),
]
_Formation = Annotated[str, typer.Option(metavar="NAME", envvar="PEAT_FORMATION", help="The formation's name.")]


@token.command(cls=Verb)
def mint(
    ctx: typer.Context,
    documents: Annotated[
        list[str], typer.Option(metavar="COLLECTION/ID", help="Which: * stands for any characters. Repeatable.")
    ],
    write: Annotated[bool, typer.Option("--write", help="To write too; else to read only.")] = False,
    ttl: Annotated[str, typer.Option(metavar="TIME", help="How long it is valid: 90s, 30m, 1h, 7d.")] = "1h",
    subject: Annotated[str, typer.Option(metavar="NAME", help="For whom it is: goes into the log.")] = "client",
    seed_file: _SecretFile = None,
    formation: _Formation = "peat",
) -> None:
    """Makes a token: a JWT that every node of the formation accepts until it expires."""
    from peatd.client_tokens import mint

    expires = time.time() + _seconds(ttl)
    made = mint(_key(ctx, seed_file, formation), subject=subject, documents=documents, may_write=write, expires=expires)
    render.say(json.dumps({"token": made, "expires": int(expires)}) if options(ctx).as_json else made)


@token.command(cls=Verb)
def key(
    ctx: typer.Context,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there (0600, never over a file), print the path.")
    ] = None,
    seed_file: _SecretFile = None,
    formation: _Formation = "peat",
) -> None:
    """Prints the key of the tokens, in base64, for a backend that makes its own: HS256. It opens nothing else."""
    from peatd.keyfile import write_private

    text = base64.b64encode(_key(ctx, seed_file, formation)).decode()
    if out is not None:
        write_private(out, f"{text}\n".encode())
    name, value = ("key", text) if out is None else ("file", str(out))
    render.say(json.dumps({name: value}) if options(ctx).as_json else value)


def _key(ctx: typer.Context, seed_file: str | None, formation: str) -> bytes:
    from peatd.formation import Formation, parse_formation_secret

    text, origin = find_secret(seed_file, options(ctx), os.environ)
    return Formation(formation, parse_formation_secret(text, origin)).client_token_key(0)


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    seconds = float(found[1]) * _UNITS[found[2]] if found else math.nan
    if not 1 <= seconds <= _MAX_TTL:
        raise Stop(Exit.USAGE, f"--ttl {text!r} is no time between a second and ten years; write 90s, 30m, 1h or 7d")
    return seconds
