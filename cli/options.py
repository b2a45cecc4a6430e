"""The options that every verb has, after it or before it, and the verb's answer in the form they ask for."""

import math
import os
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from cli import render
from cli.client import Answer, Daemon
from cli.locate import Options
from cli.outcome import Exit, Stop
from cli.refusal import refusal

_PANEL = "Common options"
_KEY = "cli.options"


class Verb(TyperCommand):
    """A command with the common options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_common_options())


class Verbs(TyperGroup):
    """A group of commands with the common options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_common_options())


def options(ctx: typer.Context) -> Options:
    """What the common options say; the one nearest to the end of the line counts."""
    found = ctx.meta.setdefault(_KEY, Options())
    assert isinstance(found, Options)
    return found


def daemon(ctx: typer.Context) -> Daemon:
    """The daemon that the command line leads to."""
    return Daemon.find(options(ctx), os.environ)


def accept(ctx: typer.Context, answer: Answer) -> None:
    """With `--json`, prints the API's body unchanged, whatever it says.

    Raises:
        Stop: if the API refused or failed.
    """
    if options(ctx).as_json:
        render.say_body(answer.body)
    if not 200 <= answer.status < 300:
        raise refusal(answer.status, answer.body)


def reply(ctx: typer.Context, answer: Answer, text: Callable[[Answer], str]) -> None:
    """Prints the API's answer: its body unchanged with `--json`, else what `text` makes of it.

    Raises:
        Stop: if the API refused or failed.
    """
    accept(ctx, answer)
    if not options(ctx).as_json:
        render.say(text(answer))


def refuse_nan(seconds: float | None) -> float | None:
    """A number that is neither less nor more than any bound, and no time to wait."""
    if seconds is not None and math.isnan(seconds):
        raise typer.BadParameter("nan is no number of seconds.")
    return seconds


# No brackets in these texts: on a terminal rich takes them for markup, and they vanish.
def _common_options() -> list[TyperOption]:
    return [
        _option("--api", "api", "URL|unix:PATH", "Where the daemon's API is (PEAT_API)."),
        _option("--token-file", "token_file", "FILE", "The API's token, for TCP (PEAT_TOKEN_FILE)."),
        _option("--data-dir", "data_dir", "DIR", "The daemon's data directory (PEAT_DATA_DIR)."),
        _option("--json", "as_json", None, "Print JSON."),
    ]


def _option(flag: str, name: str, metavar: str | None, help_text: str) -> TyperOption:
    def keep(ctx: typer.Context, _param: object, value: str | bool | None) -> None:
        if value == "":
            raise Stop(Exit.USAGE, f"{flag} is empty; give it a value, or leave it out")
        if value:
            setattr(options(ctx), name, value)

    return TyperOption(
        param_decls=[flag],
        metavar=metavar,
        type=None if metavar is None else str,
        is_flag=metavar is None,
        default=False if metavar is None else None,
        help=help_text,
        expose_value=False,
        callback=keep,
        rich_help_panel=_PANEL,
    )
