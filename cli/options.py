"""The options that every verb has, after it or before it, and the verb's answer in the form they ask for."""

import math
import os
from collections.abc import Callable
from typing import Any

import msgspec
import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from cli import render
from cli.client import Answer, Daemon
from cli.locate import Options
from cli.outcome import Exit, Stop

_PANEL = "Common options"
_KEY = "cli.options"
_TRY: dict[int | str, str] = {
    401: "name the file of the daemon's token with --token-file, or run peat as the daemon's user",
    404: "`peat docs list` shows what is there",
    412: "someone changed it: `peat docs get --etag` tells what it is now, and its version",
    503: "`peat ready` tells which part is not ready; try again soon",
    "barred": "the other documents are well; `peat docs delete` it and write it anew, or run another `--engine`",
    504: "it stays made; wait longer with --timeout, or for less with --ack",
}
"""What to try, in this program's words, by status or by the error's code; for any other the API's hint will do."""


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
        raise refusal(answer)


def reply(ctx: typer.Context, answer: Answer, text: Callable[[Answer], str]) -> None:
    """Prints the API's answer: its body unchanged with `--json`, else what `text` makes of it.

    Raises:
        Stop: if the API refused or failed.
    """
    accept(ctx, answer)
    if not options(ctx).as_json:
        render.say(text(answer))


class _Fault(msgspec.Struct):
    message: str
    code: str = ""
    hint: str | None = None


class _Error(msgspec.Struct):
    error: _Fault
    reached: str | None = None


def refusal(answer: Answer) -> Stop:
    """Why the API did not do it. 4xx is a rule that it keeps; all else is its failure."""
    try:
        found = msgspec.json.decode(answer.body, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Stop(
            Exit.API_FAILED,
            f"status {answer.status} without a reason is no answer of peatd's; name the daemon's API with --api",
        )
    refused = 400 <= answer.status < 500
    message = found.error.message.rstrip(".")
    if found.reached is not None:
        message += f" (reached: {found.reached})"
    hint = _TRY.get(found.error.code) or _TRY.get(answer.status) or found.error.hint or _last_resort(refused=refused)
    return Stop(Exit.NO if refused else Exit.API_FAILED, f"{message}; {hint}")


def refuse_nan(seconds: float | None) -> float | None:
    """A number that is neither less nor more than any bound, and no time to wait."""
    if seconds is not None and math.isnan(seconds):
        raise typer.BadParameter("nan is no number of seconds.")
    return seconds


def _last_resort(*, refused: bool) -> str:
    return "`peat --help` shows the usage" if refused else "try again later, and look at the daemon's log"


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
