"""`peat ready`: the long way, which also says why not. The short way to a yes is `probe.py`."""

import random
import time
from typing import Annotated

import msgspec
import typer

from cli import render
from cli.client import Answer, Daemon
from cli.options import daemon, options, refuse_nan
from cli.outcome import Exit, Stop
from cli.refusal import refusal

_PATIENCE = 5.0
"""Seconds that one question may take; a daemon that is well answers within milliseconds."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 0.25
"""Seconds between two questions, at random: pods that start together do not ask together."""

_READY, _NOT_READY = 200, 503


class _Check(msgspec.Struct):
    name: str
    ready: bool
    message: str | None = None


class _Report(msgspec.Struct):
    ready: bool
    node_id: str
    checks: list[_Check]


def ready(
    ctx: typer.Context,
    wait: Annotated[
        float | None,
        typer.Option(min=0, callback=refuse_nan, metavar="SECONDS", help="Ask again until it is ready or time is up."),
    ] = None,
) -> None:
    """Whether the daemon is ready. Exit code 0: it is. 1: it is not, and why. 3: nobody answers. Made for probes."""
    answer, report = _ask(daemon(ctx), wait)
    if options(ctx).as_json:
        render.say_body(answer.body)
    if not report.ready:
        raise Stop(Exit.NO, _why_not(report, waited=wait is not None))
    if not options(ctx).as_json:
        render.say("ready")


def _ask(asked: Daemon, wait: float | None) -> tuple[Answer, _Report]:
    """The first yes, or the last answer before time was up.

    Raises:
        Stop: if nobody answered the last question, or at once if an answer is no report: that will not mend.
    """
    end = time.monotonic() + (wait or 0)
    while True:
        left = end - time.monotonic()
        is_last = left <= 0
        try:
            answer = asked.ask("GET", "/ready", timeout=_PATIENCE if is_last else min(_PATIENCE, left))
            report = _parse(answer)
            if report.ready or is_last:
                return answer, report
        except Stop as stop:
            if is_last or stop.code is not Exit.NO_ANSWER:
                raise
        time.sleep(min(max(end - time.monotonic(), 0), random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE)))


def _parse(answer: Answer) -> _Report:
    if answer.status not in (_READY, _NOT_READY):
        raise refusal(answer.status, answer.body)
    report = answer.parse(_Report)
    if report.ready != (answer.status == _READY):
        raise Stop(
            Exit.API_FAILED,
            f"status {answer.status} and ready={report.ready} contradict each other; is that peatd? Name it with --api",
        )
    return report


def _why_not(report: _Report, *, waited: bool) -> str:
    for check in report.checks:
        if not check.ready:
            render.note(f"{check.name}: {check.message or 'not ready'}")
    what_next = "the daemon's log says more" if waited else "`peat ready --wait 30` gives it time"
    return f"{report.node_id} is not ready; {what_next}"
