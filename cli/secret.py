"""`peat secret`: the secret that the nodes of a formation share."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from cli import render
from cli.options import Verb, Verbs, options
from cli.seed_file import DEFAULT_SEED_FILE, find_secret

secret = typer.Typer(cls=Verbs, help="The secret that the nodes of a formation share.", no_args_is_help=True)


@secret.command(cls=Verb)
def new(
    ctx: typer.Context,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there (0600, never over a file), print the path.")
    ] = None,
) -> None:
    """Makes a new formation secret: base64 of 32 random bytes. Give it to every node of the formation."""
    from peatd.formation import new_formation_secret
    from peatd.keyfile import write_private

    text = new_formation_secret()
    if out is not None:
        # With a line's end: to rotate, the old secret is appended as a second line.
        write_private(out, f"{text}\n".encode())
    name, value = ("secret", text) if out is None else ("file", str(out))
    render.say(json.dumps({name: value}) if options(ctx).as_json else value)


_SeedFile = Annotated[
    str | None,
    typer.Option(
        "--seed-file",
        metavar="PATH",
        help="The formation secret, as the daemon reads it; - is stdin. By default PEAT_FORMATION_SECRET_FILE, "
        f"else the one in the data directory, else {DEFAULT_SEED_FILE}.",
    ),
]
_Formation = Annotated[str, typer.Option(metavar="NAME", envvar="PEAT_FORMATION", help="The formation's name.")]


@secret.command(cls=Verb)
def fingerprint(ctx: typer.Context, seed_file: _SeedFile = None, formation: _Formation = "peat") -> None:
    """What the secrets in a file are called in public, the one that is used first. Tells nothing of the secrets."""
    from peatd.formation import Formation, parse_formation_secret

    text, origin = find_secret(seed_file, options(ctx), os.environ)
    found = Formation(formation, parse_formation_secret(text, origin)).fingerprints
    render.say(json.dumps({"secrets": found}) if options(ctx).as_json else "\n".join(found))


@secret.command(cls=Verb, name="relay-key")
def relay_key(ctx: typer.Context, seed_file: _SeedFile = None, formation: _Formation = "peat") -> None:
    """By which key a relay knows the formation: for `peat-relay --relay-allow`. Tells nothing of the secrets.

    One for each secret in the file, the one that is used first. While a secret is rotated, the relay is to know both.
    """
    from peatd.formation import Formation, parse_formation_secret
    from peatd.identity import Keypair

    text, origin = find_secret(seed_file, options(ctx), os.environ)
    found = Formation(formation, parse_formation_secret(text, origin))
    keys = [Keypair.from_secret(found.relay_secret(index)).public_key.hex() for index in range(len(found.secrets))]
    render.say(json.dumps({"relay_keys": keys}) if options(ctx).as_json else "\n".join(keys))
