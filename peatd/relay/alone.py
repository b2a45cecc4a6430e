"""A relay that is no node, put together: its port, and where it tells how it is."""

import time
from collections.abc import Sequence
from functools import partial

import structlog
import trio

import peatd
from peatd.limits import LimitHits
from peatd.measures import Durations, Kind, Measure, gauge
from peatd.relay.role import RelayRole
from peatd.relay.status import serve_status
from peatd.settings.relay_program import RelayProgram

log = structlog.get_logger()


async def run_relay(program: RelayProgram, stopping: trio.Event) -> None:
    """Runs a relay until `stopping` is set.

    Raises:
        ConfigError: in exception groups, when it cannot start as configured.
    """
    hits = LimitHits()
    role = RelayRole(program.relay, hits)
    async with trio.open_nursery() as nursery:
        listening = {"relay": str(await nursery.start(role.run))}
        if program.status is not None:
            status = partial(serve_status, program.status, partial(_measures, role, hits, time.monotonic()))
            listening["status"] = str(await nursery.start(status))
        log.info("relay up", formations=len(program.relay.relay_allow), **listening)
        await stopping.wait()
        log.info("relay stopping")
        nursery.cancel_scope.cancel()


def _measures(role: RelayRole, hits: LimitHits, started: float) -> Sequence[Measure | Durations]:
    return [
        Measure("peat_relay_info", Kind.GAUGE, "Always 1.", [((peatd.__version__,), 1)], ("version",)),
        gauge("peat_uptime_seconds", "Since the relay started.", time.monotonic() - started),
        *role.measures(),
        hits.measure(),
    ]
