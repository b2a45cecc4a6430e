"""`peat keygen`: a node's key, derived from a seed as the daemon does, or made anew. Asks no daemon."""

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import render
from cli.options import Verb, options
from cli.outcome import Exit, Stop
from cli.seed_file import DEFAULT_SEED_FILE, STDIN, read_seed, usual_seed_file

_SEED_FILE_FLAG = "--seed-file"
_NO_PATH = "\0"
"""Stands for `--seed-file` without a path; no argument of a program can hold it."""


class Keygen(Verb):
    """Typer has no options whose value may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_paths(args))


def keygen(
    ctx: typer.Context,
    seed_file: Annotated[
        str | None,
        typer.Option(
            _SEED_FILE_FLAG,
            metavar="[PATH]",
            help="Derive the key from this file's bytes, as they are; - is stdin. Without PATH: "
            f"PEAT_FORMATION_SECRET_FILE, else {DEFAULT_SEED_FILE}.",
        ),
    ] = None,
    context: Annotated[
        str | None, typer.Option(metavar="NAME", help="The node id; by default that of a peatd started here.")
    ] = None,
    base64: Annotated[
        bool, typer.Option("--base64", help="The file holds base64: decode it, as the daemon does.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the 32-byte secret there (0600, never over a file).")
    ] = None,
) -> None:
    """Derives a node's key, or makes a new one. Prints its ids, never its secret."""
    from peatd.identity import Keypair, endpoint_id
    from peatd.keyfile import save_keypair

    node_id = _node_id(os.environ) if context is None else context
    if not node_id:
        raise Stop(Exit.USAGE, "--context is empty; name the node, as in --context peat-mesh-0")
    if seed_file is None:
        if base64:
            raise Stop(Exit.USAGE, "--base64 says how to read a seed; name its file with --seed-file")
        keypair, endpoint = Keypair.generate(), None
    else:
        seed = _seed(_seed_path(seed_file, os.environ), base64=base64)
        keypair, endpoint = Keypair.from_seed(seed, node_id), endpoint_id(seed, node_id)
    if out is not None:
        save_keypair(keypair, out)
    elif seed_file is None:
        render.note("this key is not kept anywhere; keep one with --out FILE, or derive it with --seed-file")
    _print(ctx, node_id, keypair.device_id, keypair.public_key.hex(), endpoint)


def _print(ctx: typer.Context, node_id: str, device_id: str, public_key: str, endpoint: str | None) -> None:
    found = {"node_id": node_id, "device_id": device_id, "public_key": public_key, "endpoint_id": endpoint}
    if options(ctx).as_json:
        render.say(json.dumps(found))
    else:
        render.say(render.facts((name.replace("_", " "), value or render.NOTHING) for name, value in found.items()))


def _node_id(environ: Mapping[str, str]) -> str:
    return environ.get("PEAT_NODE_ID") or environ.get("HOSTNAME") or socket.gethostname()


def _seed_path(given: str, environ: Mapping[str, str]) -> str:
    if given == "":
        raise Stop(Exit.USAGE, "--seed-file is empty; name a file, or leave the path out for the usual one")
    if given != _NO_PATH:
        return given
    return usual_seed_file(environ)


def _seed(path: str, *, base64: bool) -> bytes:
    from peatd.errors import ConfigError
    from peatd.formation import parse_formation_secret

    content, origin = read_seed(path)
    if base64:
        return parse_formation_secret(content.decode("latin-1"), origin)[0]
    try:
        parse_formation_secret(content.decode("latin-1"), origin)
    except ConfigError:
        return content
    render.note(f"{origin} holds base64, taken here as it is; peatd decodes it: for the key that it uses, add --base64")
    return content


def _with_paths(args: list[str]) -> list[str]:
    """The arguments, with `_NO_PATH` where `--seed-file` has no value."""
    done: list[str] = []
    for index, word in enumerate(args):
        if word == "--":
            return done + args[index:]
        following = args[index + 1] if index + 1 < len(args) else "--"
        has_path = following == STDIN or not following.startswith("-")
        done.append(word if word != _SEED_FILE_FLAG or has_path else f"{_SEED_FILE_FLAG}={_NO_PATH}")
    return done
