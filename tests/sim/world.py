"""One run: a plan carried out on machines, a network and clients; what is then wrong, if anything."""

import math
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import trio
from sim import invariants
from sim.clients import Clients
from sim.history import Asked, History
from sim.invariants import Violation
from sim.network import Network
from sim.node import Life, Machine
from sim.plan import (
    ClockJumps,
    Crash,
    Cut,
    Delete,
    EngineDies,
    Fault,
    Isolate,
    Plan,
    Round,
    Slow,
    Step,
    Stop,
    Unseen,
    Write,
)

_UP_AGAIN = 5.0
"""Seconds between attempts to start a node whose disk does not let it."""
_LATE = 10.0
"""Seconds for a crash in the middle of what a disk does: if it does nothing, the crash comes then."""
_FAILS = 10.0
"""Seconds in which a store notices that its disk works again, the longest pause between two attempts being 5."""
_LOOKS = 0.5
"""Seconds between looks at the bounds."""


class World:
    """The machines of one run.

    Args:
        told: is told what happens, line by line.
    """

    def __init__(self, plan: Plan, root: Path, told: Callable[[str], object] | None = None) -> None:
        self.plan = plan
        self.network = Network(random.Random(f"network {plan.seed}"), plan.longest_latency)
        self.network.restricted = frozenset() if plan.copies is None else frozenset({"notes"})
        self.machines = {name: Machine(name, plan, root, self.network, self._logged) for name in plan.nodes}
        self.history = History(copies=plan.copies)
        self.clients = Clients(self.machines, self.history, random.Random(f"clients {plan.seed}"), self._strike)
        self.violations: list[str] = []
        self._told = told

    async def run(self) -> None:
        """Raises: Violation; and whatever a node raised that was not to fail."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._look)
            for name in self.plan.nodes:
                await self._start(name)
            for number, each in enumerate(self.plan.rounds):
                self._say(f"round {number}")
                await self._storm(each)
                await self._calm()
            await self._power_cut()
            nursery.cancel_scope.cancel()

    # Storm and calm --------------------------------------------------------------------------------------------

    async def _storm(self, each: Round) -> None:
        begun = trio.current_time()
        self._healing = trio.Event()
        async with trio.open_nursery() as storm:
            for at, step in each.steps:
                await trio.sleep_until(begun + at)
                self._say(str(step))
                storm.start_soon(self._do, step)
            last = trio.current_time()
            storm.start_soon(self._heal_at, last + 1.0)

    async def _heal_at(self, time: float) -> None:
        """What would last longer than the round is mended at its end."""
        await trio.sleep_until(time)
        self._healing.set()

    async def _lasts(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._healing.wait()

    async def _calm(self) -> None:
        self._say("calm")
        self.network.mend_all()
        for name, machine in self.machines.items():
            machine.disk.is_full = machine.disk.is_broken = False
            machine.slowness = 1.0
            await self._start(name)
        lives = await invariants.settled(self.machines, self.clients, self.plan.copies, self._say)
        self._check_log()
        await invariants.check(lives, self.machines, self.history, self.plan.copies)
        self._say(f"agreed: {len(lives[0].states())} documents")

    async def _power_cut(self) -> None:
        """All lose their power at once; what each has on its disk is what they had agreed on."""
        lives = [machine.life for machine in self.machines.values() if machine.life is not None]
        contents = await lives[0].json()
        await invariants.settled(self.machines, self.clients, self.plan.copies, self._say)  # it may have fetched some
        agreed = {life.machine.name: life.states() for life in lives}
        for name, machine in self.machines.items():
            life = machine.life
            if life is not None:
                machine.end(life, power=True, silently=True)
                self.network.cut(*((name, other) for other in self.machines))
        for machine in list(self.machines.values())[: invariants.REPLAYED]:
            await self._start(machine.name)
            assert machine.life is not None
            is_same = machine.life.states() == agreed[machine.name]
            # Where there are copies, it has nobody to fetch from what it does not hold.
            is_read = self.plan.copies is not None or await machine.life.json() == contents
            if not (is_same and is_read):
                raise Violation(f"{machine.name} has something else on its disk than it had in memory")
        self._check_log()

    async def _look(self) -> None:
        while True:
            await trio.sleep(_LOOKS)
            invariants.check_traffic(self.network, len(self.machines))
            for machine in self.machines.values():
                if machine.life is not None:
                    invariants.check_bounds(machine.life)

    # Steps -----------------------------------------------------------------------------------------------------

    async def _do(self, step: Step) -> None:
        match step:
            case Write() | Delete():
                self.clients.ask(step)
            case Cut(here, there, both, lasts):
                directions = [(here, there), (there, here)] if both else [(here, there)]
                await self._cut(directions, lasts)
            case Isolate(node, lasts):
                others = [other for other in self.machines if other != node]
                await self._cut([(node, o) for o in others] + [(o, node) for o in others], lasts)
            case Slow(here, there, pace, lasts):
                self.network.slow((here, there), pace)
                await self._lasts(lasts)
                self.network.slow((here, there), None)
            case Crash():
                await self._crash(step)
            case Stop(node, lasts):
                await self._stop(self.machines[node], lasts)
            case Fault():
                await self._fault(step)
            case EngineDies(node):
                life = self.machines[node].life
                if life is not None:
                    life.engines[-1].kill()
            case ClockJumps(node, by):
                self.machines[node].clock_offset += by

            case Unseen(here, there, lasts):
                if (life := self.machines[here].life) is not None and life.is_serving:
                    life.loses_sight_of(there)
                    await self._lasts(lasts)
                    life.sees(there)

    async def _cut(self, directions: list[tuple[str, str]], lasts: float) -> None:
        self.network.cut(*directions)
        await self._lasts(lasts)
        self.network.mend(*directions)

    async def _crash(self, step: Crash) -> None:
        machine = self.machines[step.node]
        life = machine.life
        if life is None:
            return
        if step.at_operation:
            machine.disk.end_life_at(step.at_operation, partial(self._end, machine, life, step))
            await self._lasts(_LATE)
        self._end(machine, life, step)
        if machine.life is None:  # else another crash came first, and it is up again
            await self._come_back(machine, step)

    def _end(self, machine: Machine, life: Life, step: Crash) -> None:
        machine.end(life, power=step.power, silently=step.power)

    def _strike(self, asked: Asked) -> None:
        """The node that has just promised something loses its power; and its disk, if it promised that of the peers'
        disks, which then lose their power too."""
        assert asked.rung is not None
        promised = self.machines[asked.node]
        struck = list(self.machines.values()) if asked.rung.peers else [promised] if asked.rung.durable else []
        for machine in struck:
            loses_disk = machine is promised and asked.rung.peers > 0
            crash = Crash(machine.name, power=True, at_operation=0, silently=False, loses_disk=loses_disk, lasts=0.05)
            self._say(f"strikes {crash}")
            if machine.life is not None:
                self._end(machine, machine.life, crash)
                self._nursery.start_soon(self._come_back, machine, crash)

    async def _come_back(self, machine: Machine, crash: Crash) -> None:
        if crash.loses_disk and machine.disk.is_dead:
            machine.lost_disks += 1
            machine.disk.lose()
        await self._lasts(crash.lasts)
        if not crash.silently:
            self.network.answer_for(machine.name)
        await self._start(machine.name)

    async def _stop(self, machine: Machine, lasts: float) -> None:
        life = machine.life
        if life is None:
            return
        life.stopping.set()
        await life.ended.wait()
        await self._lasts(lasts)
        await self._start(machine.name)

    async def _fault(self, step: Fault) -> None:
        machine = self.machines[step.node]
        disk = machine.disk
        disk.is_full, disk.is_broken, machine.slowness = step.full, step.broken, step.slowness
        if step.full or step.broken:
            machine.faulty_until = math.inf
        if step.slowness > 1.0:
            machine.slow_until = math.inf
        await self._lasts(step.lasts)
        disk.is_full = disk.is_broken = False
        machine.slowness = 1.0
        recovered = trio.current_time() + _FAILS
        machine.faulty_until = min(machine.faulty_until, recovered)
        machine.slow_until = min(machine.slow_until, recovered)

    async def _start(self, name: str) -> None:
        """Until it runs. Whoever else wants it started waits for the same."""
        machine = self.machines[name]
        others = [other for other in self.machines if other != name]
        async with machine.starting:
            while machine.life is None:
                if await self._nursery.start(machine.run, others) is None:
                    await trio.sleep(_UP_AGAIN)

    # What is told ----------------------------------------------------------------------------------------------

    def _logged(self, life: Life, level: str, event: str, fields: dict[str, Any]) -> None:
        self._say(f"{life.machine.name} {level}: {event} {fields}")
        is_expected = invariants.is_expected(self.network, life.machine, event, fields)
        if level == "error" and not life.is_over and not is_expected:
            self.violations.append(f"{life.machine.name} logs an error: {event} {fields}")

    def _check_log(self) -> None:
        if self.violations:
            raise Violation("; ".join(self.violations))

    def _say(self, line: str) -> None:
        if self._told is not None:
            self._told(f"{trio.current_time():9.4f} {line}")
