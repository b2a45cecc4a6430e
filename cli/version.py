"""`peat version`: of this program; no daemon is asked."""

import json

import typer

from cli import render
from cli.options import options
from peatd import __version__


def version(ctx: typer.Context) -> None:
    """The version of this program. `peat node` tells the daemon's."""
    render.say(json.dumps({"version": __version__}) if options(ctx).as_json else f"peat {__version__}")
