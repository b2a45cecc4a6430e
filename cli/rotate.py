"""`peat secret rotate`: exchanges the formation secret of nodes that run, and `peat secret status`: how far they are.

The new secret goes from here to each node by its own API, on its own machine, and never from node to node: a link is
proven by the old secret, and whoever has stolen that would be told the new one.
"""

import enum
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cli import render
from cli.client import Answer, Daemon
from cli.locate import UNIX, Options
from cli.options import accept, daemon, options, refuse_nan, reply
from cli.outcome import Exit, Stop
from cli.refusal import refusal
from cli.render import NOTHING, table
from cli.seed_file import read_seed

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 0.3
"""Seconds between two looks."""
_STEP_TIMEOUT = 30.0
"""Seconds for one node's step: it makes a process that mints certificates, on a machine that may be busy."""
_OK = 200


class StepName(enum.StrEnum):
    INSTALL = "install"
    USE = "use"
    REMOVE = "remove"


class _Secrets(msgspec.Struct):
    formation: str
    secrets: list[str]
    source: str
    fixed: str | None


class _Node(msgspec.Struct):
    node_id: str


class _Peer(msgspec.Struct):
    id: str
    device_id: str | None
    state: str
    connected: bool
    secrets: list[str] | None = None
    revoked: bool = False


class _Peers(msgspec.Struct):
    peers: list[_Peer]


class _Asked:
    """A node that is asked."""

    def __init__(self, found: Daemon) -> None:
        self._daemon = found
        self.name = self._ask("GET", "/node").parse(_Node).node_id

    def secrets(self) -> _Secrets:
        return self._ask("GET", "/secrets").parse(_Secrets)

    def peers(self) -> list[_Peer]:
        """Those that shall come along."""
        return [peer for peer in self._ask("GET", "/peers").parse(_Peers).peers if not peer.revoked]

    def take(self, step: StepName, **named: object) -> None:
        self._ask("POST", "/secrets", json.dumps({"step": step.value, **named}).encode(), timeout=_STEP_TIMEOUT)

    def _ask(self, method: str, route: str, body: bytes | None = None, timeout: float = 10.0) -> Answer:
        answer = self._daemon.ask(method, route, body=body, timeout=timeout)
        if answer.status != _OK:
            raise refusal(answer.status, answer.body)
        return answer


def rotate(
    ctx: typer.Context,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR|unix:PATH", help="Another node of this machine, by data directory. Repeatable."),
    ] = None,
    step: Annotated[StepName | None, typer.Option(help="Do this step only, on these nodes, and wait for none.")] = None,
    secret_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="The new secret (peat secret new); - is stdin.")
    ] = None,
    fingerprint: Annotated[
        str | None, typer.Option(metavar="HEX", help="The new secret, where it is installed already.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0, callback=refuse_nan, metavar="SECONDS", help="Wait no longer for a step.")
    ] = 60.0,
    force: Annotated[bool, typer.Option("--force", help="Remove, though a known node would be left behind.")] = False,
) -> None:
    """Exchanges the formation secret while all nodes run: a new one, or that of --secret-file, in three steps.

    \b
    install  all accept it beside the old one. Nothing else changes.
    use      all use it. Device ids change, links are made anew, at once.
    remove   the old one opens nothing any more, and nobody who has it gets in.

    After each step it waits until all nodes have done it: those that are asked, and all peers that they know, but for
    revoked ones. Whoever shares the file with a node that is asked comes along by itself. On other
    machines do the same steps, with --step and --secret-file; or change the file, which each node reads again. A step
    may be repeated, and the walk be taken up again with --fingerprint.
    """
    asked = [_Asked(daemon(ctx)), *(_Asked(_named(place)) for place in also or ())]
    new = _New.choose(asked[0].secrets().formation, step, secret_file, fingerprint)
    fixed = [f"{node.name}: {why}" for node in asked if (why := node.secrets().fixed)]
    if fixed:
        raise Stop(Exit.NO, f"not all of these nodes can change their secret; {'; '.join(fixed)}")
    steps = [step] if step is not None else [StepName.INSTALL, StepName.USE, StepName.REMOVE]
    for each in steps:
        if each is StepName.INSTALL and new.text is None:
            continue
        _take(each, asked, new, force=force)
        if step is None:
            _wait(each, asked, new, timeout)
    if options(ctx).as_json:
        names = [node.name for node in asked]
        render.say(json.dumps({"fingerprint": new.fingerprint, "steps": [one.value for one in steps], "nodes": names}))
    elif step is None:
        render.say(f"rotated to {new.fingerprint}")


def status(ctx: typer.Context) -> None:
    """Which formation secrets this node and its peers accept, the one that each uses first, by fingerprint."""
    if options(ctx).as_json:
        return reply(ctx, daemon(ctx).ask("GET", "/secrets"), str)
    found = daemon(ctx)
    answer = found.ask("GET", "/secrets")
    accept(ctx, answer)
    secrets, asked = answer.parse(_Secrets), _Asked(found)
    rows = [(asked.name, "this node", ", ".join(secrets.secrets))]
    rows += [(peer.id, peer.state, ", ".join(peer.secrets or ()) or NOTHING) for peer in asked.peers()]
    render.say(table(("ID", "STATE", "ACCEPTS"), rows))
    if secrets.fixed:
        render.note(secrets.fixed)
    return None


class _New:
    """The new secret. `text` is None where it is installed already."""

    def __init__(self, text: str | None, fingerprint: str) -> None:
        self.text = text
        self.fingerprint = fingerprint

    @classmethod
    def choose(cls, formation: str, step: StepName | None, file: str | None, fingerprint: str | None) -> "_New":
        from peatd.formation import Formation, new_formation_secret, parse_formation_secret

        if file is not None and fingerprint is not None:
            raise Stop(Exit.USAGE, "--secret-file and --fingerprint both say which secret; give one of the two")
        if fingerprint is not None:
            if step is StepName.INSTALL:
                raise Stop(Exit.USAGE, "a fingerprint is no secret; install one with --secret-file")
            return cls(None, fingerprint.strip().lower())
        if file is None and step is not None:
            hint = "name the new secret with --secret-file" + ("" if step is StepName.INSTALL else " or --fingerprint")
            raise Stop(Exit.USAGE, f"{hint}; `peat secret new --out FILE` makes one")
        text, origin = new_formation_secret(), "the new secret"
        if file is not None:
            content, origin = read_seed(file)
            text = content.decode("latin-1")
        secrets = parse_formation_secret(text, origin)
        if len(secrets) > 1:
            raise Stop(Exit.USAGE, f"{origin} holds {len(secrets)} secrets; give the new one alone")
        return cls(text, Formation(formation, secrets).fingerprints[0])


def _named(place: str) -> Daemon:
    if place.startswith((UNIX, "http:", "https:")):
        return Daemon.find(Options(api=place), os.environ)
    return Daemon.find(Options(api=f"{UNIX}{Path(place) / 'api.sock'}"), os.environ)


def _take(step: StepName, asked: Sequence[_Asked], new: _New, *, force: bool) -> None:
    for node in asked:
        match step:
            case StepName.INSTALL:
                node.take(step, secret=new.text)
            case StepName.USE:
                node.take(step, fingerprint=new.fingerprint)
            case StepName.REMOVE:
                node.take(step, fingerprint=new.fingerprint, force=force)
        render.note(f"{node.name}: {_DONE[step].format(new.fingerprint)}")


_DONE = {
    StepName.INSTALL: "accepts {} too",
    StepName.USE: "uses {}",
    StepName.REMOVE: "accepts {} and no other",
}


def _wait(step: StepName, asked: Sequence[_Asked], new: _New, timeout: float) -> None:
    has_done = _HAS_DONE[step]
    end = time.monotonic() + timeout
    while True:
        behind = sorted({name for node in asked for name in _behind(node, lambda held: has_done(new, held))})
        if not behind:
            return
        if time.monotonic() > end:
            raise _stalled(step, asked[0], new, behind)
        time.sleep(random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE))


def _behind(node: _Asked, has_done: Callable[[Sequence[str]], bool]) -> list[str]:
    names = [peer.id for peer in node.peers() if not has_done(peer.secrets or ())]
    return names if has_done(node.secrets().secrets) else [node.name, *names]


def _accepts(new: _New, held: Sequence[str]) -> bool:
    return new.fingerprint in held


def _uses(new: _New, held: Sequence[str]) -> bool:
    return held[:1] == [new.fingerprint]


def _accepts_no_other(new: _New, held: Sequence[str]) -> bool:
    return list(held) == [new.fingerprint]


_HAS_DONE: dict[StepName, Callable[[_New, Sequence[str]], bool]] = {
    StepName.INSTALL: _accepts,
    StepName.USE: _uses,
    StepName.REMOVE: _accepts_no_other,
}


def _stalled(step: StepName, first: _Asked, new: _New, behind: Sequence[str]) -> Stop:
    source = first.secrets().source
    if step is StepName.REMOVE:
        return Stop(
            Exit.NO,
            f"{', '.join(behind)} did not remove the old secret in time, or cannot be asked: there, whoever has it "
            "gets in. Do the step there, or `peat node revoke` who shall not come along",
        )
    what = "accept" if step is StepName.INSTALL else "use"
    return Stop(
        Exit.NO,
        f"{', '.join(behind)} did not {what} {new.fingerprint} in time, or cannot be asked. All still meet by the old "
        f"secret. Do the step there (the new one is in {source}), or `peat node revoke` who shall not come along; "
        f"then go on with --fingerprint {new.fingerprint}",
    )
