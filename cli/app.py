"""The typer app: the verbs and how they are called."""

import sys
from collections.abc import Sequence

import typer

from cli.docs import docs
from cli.keygen import Keygen, keygen
from cli.node import node
from cli.options import Verb, Verbs
from cli.peers import peers
from cli.ready import ready
from cli.rotate import rotate, status
from cli.secret import secret
from cli.token import token
from cli.topology import topology
from cli.version import version
from cli.watch import watch

_HELP = """Asks and tells the peatd of this machine, or the one that --api names.

The answer goes to stdout, all else to stderr.

\b
Exit codes:
0  yes
1  no, or refused by a rule (the API said 400 to 499)
2  wrong usage, or a file that cannot be used
3  no daemon answers
4  the API failed (500 and above), or made no sense;
   504: the change is made, but not as far as --ack asked
"""


def run(arguments: Sequence[str]) -> int:
    """Runs one command line.

    Raises:
        Stop: if it ends early; the message is not yet said.
        ConfigError: if a name or a file in it cannot be used.
    """
    try:
        typer.main.get_command(_app()).main(args=list(arguments), prog_name="peat")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def _app() -> typer.Typer:
    # Frames and colours are for eyes: in a pipe, a log or a test they are noise.
    is_seen = all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))
    app = typer.Typer(
        cls=Verbs,
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich" if is_seen else None,
        pretty_exceptions_enable=False,
    )
    app.command(cls=Keygen)(keygen)
    for verb in (ready, peers, topology, version):
        app.command(cls=Verb)(verb)
    app.add_typer(node, name="node")
    secret.command(cls=Verb)(rotate)
    secret.command(cls=Verb)(status)
    app.add_typer(secret, name="secret")
    app.add_typer(token, name="token")
    docs.command(cls=Verb)(watch)
    app.add_typer(docs, name="docs")
    return app
