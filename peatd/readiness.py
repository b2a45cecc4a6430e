"""Is this node ready to be sent work? Named checks, and the report that a readiness probe reads. Sans-IO.

Five checks are the daemon's own and always reported, in a fixed order; one that nobody has added yet (the node is still
starting) is not ready. An embedding program adds its own behind them.

A check is a callable of no arguments that must not block. It answers with

* None: ready;
* a string: not ready, and why;
* a status (whatever has `ready` and `message`): for what is ready with a remark, such as a list that is stale.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

OWN_CHECKS = ("identity", "store", "transport", "discovery", "drain")
"""The daemon's own, in the order in which they are reported."""

NOT_ADDED = "starting"
"""What is said of an own check that has not been added yet."""


class Status(Protocol):
    """How one part of the node is. `message` says why it is not ready, or what is to be known although it is."""

    @property
    def ready(self) -> bool: ...

    @property
    def message(self) -> str | None: ...


Probe = Callable[[], Status | str | None]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    name: str
    ready: bool
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Ready when every check is."""

    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        return all(check.ready for check in self.checks)


class Readiness:
    """The checks of one node."""

    def __init__(self) -> None:
        self._probes: dict[str, Probe] = dict.fromkeys(OWN_CHECKS, lambda: NOT_ADDED)
        self._added: set[str] = set()

    def add(self, name: str, probe: Probe) -> None:
        """Adds a check; those that are not the daemon's own are reported in the order of their adding.

        Raises:
            ValueError: if the name is empty or was added before: the one check would hide the other.
        """
        if not name or name in self._added:
            raise ValueError(f"a readiness check needs a name of its own: {name!r} is empty or taken")
        self._added.add(name)
        self._probes[name] = probe

    def report(self) -> Report:
        """Asks every check. One that raises is not ready, and its error's text says why."""
        return Report(tuple(_ask(name, probe) for name, probe in self._probes.items()))


def _ask(name: str, probe: Probe) -> Check:
    try:
        found = probe()
        if found is None:
            return Check(name, ready=True)
        if isinstance(found, str):
            return Check(name, ready=False, message=found)
        return Check(name, ready=bool(found.ready), message=found.message)
    except Exception as exc:  # an embedding program's code: it must not take the probe down with it
        return Check(name, ready=False, message=str(exc) or type(exc).__name__)
