"""`peat secret`: the secret that the nodes of a formation share."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli import render
from cli.options import Verb, Verbs, options

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
