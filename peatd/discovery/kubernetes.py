"""Peers out of the EndpointSlices of a Kubernetes namespace.

A round after another, in one worker thread: list everything, then watch until the poll interval is over
(`kubernetes_session.py`). What the thread reads becomes what is known, here, on the trio side; what a round's ending
means is decided in `watch.py`. While the API server cannot be reached the peers stay: they are more likely alive than
not, and a storm of losses would end links that work.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import trio

from peatd.discovery.cord import Cord
from peatd.discovery.events import DiscoveryStatus
from peatd.discovery.roster import Roster, Rostered
from peatd.discovery.slices import SliceTable
from peatd.discovery.watch import (
    Answer,
    Cause,
    Ending,
    Listed,
    SliceChanged,
    SliceGone,
    SliceUnread,
    Verb,
    WatchEvent,
    Watching,
    pause,
)
from peatd.errors import DiscoveryError
from peatd.threads import run_in_thread

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from peatd.discovery.kubernetes_session import Session

_LIST_BOUND = 60.0
"""Seconds for a whole list. Each read has its own timeout; this one is for a server that trickles."""

_WATCH_BOUND = 10.0
"""Seconds beyond the poll interval after which a watch is cut, whatever trickles in: over its own read timeout."""

_THREAD_GRACE = 0.03
"""Seconds in which a cut thread is to come back. Only a DNS look-up takes longer, and it is left to end alone."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KubernetesDiscoveryConfig:
    """Where to look for EndpointSlices; the first four fields and their defaults are upstream's.

    Attributes:
        namespace: None for the service account's, else `default`.
        label_selector: of EndpointSlices. Their controller copies the labels of the Service.
        annotation_prefix: of the slices' annotations that become metadata.
        poll_interval: seconds; the bound of one watch, after which everything is listed again.
        service_account_dir: where Kubernetes mounts `token`, `ca.crt` and `namespace` in a pod.
        kubeconfig: used outside a cluster; without one, those that `KUBECONFIG` names, else `~/.kube/config`.
    """

    namespace: str | None = None
    label_selector: str = "app=peat-mesh"
    annotation_prefix: str = "peat."
    poll_interval: float = 30.0
    service_account_dir: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    kubeconfig: Sequence[Path] = ()


@dataclass(slots=True)
class _Standing:
    """How one verb has fared lately."""

    quick: int = 0  # rounds in a row that ended quickly in it
    ending: Ending | None = None  # what is wrong, while something is
    since: float = 0.0  # wall clock, of the first such ending in a row


class KubernetesDiscovery(Rostered):
    """The `kubernetes` source of peers.

    Invariants:
        1. What is known changes by a complete list, or by an event of a watch that goes on from what is known.
        2. One thread at a time works for this source, and what it reads after its round was ended changes nothing.
    """

    source = "kubernetes"

    def __init__(self, config: KubernetesDiscoveryConfig | None = None) -> None:
        self._config = config or KubernetesDiscoveryConfig()
        self._client: ApiClient | None = None
        super().__init__(Roster(self.source))
        self._limiter = trio.CapacityLimiter(1)
        self._table = SliceTable()
        self._resource_version: str | None = None
        self._listed_at: float | None = None  # trio's clock
        self._standings: dict[Verb, _Standing] = {"list": _Standing(), "watch": _Standing()}

    @classmethod
    def with_client(cls, config: KubernetesDiscoveryConfig, client: "ApiClient") -> "KubernetesDiscovery":
        """With a client of the caller's own, whose connection pool this source takes over."""
        discovery = cls(config)
        discovery._client = client
        return discovery

    def status(self) -> DiscoveryStatus:
        standings = [standing for standing in self._standings.values() if standing.ending is not None]
        reasons = "; ".join(standing.ending.message for standing in standings if standing.ending is not None)
        if self._listed_at is None:
            return DiscoveryStatus(False, reasons or "the first list of endpointslices is not done yet")
        if not standings:
            return DiscoveryStatus(True)
        since = time.gmtime(min(standing.since for standing in standings))
        return DiscoveryStatus(True, f"stale since {time.strftime('%Y-%m-%dT%H:%M:%SZ', since)}: {reasons}")

    async def start(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until stopped or cancelled, either within 50 ms.

        Raises:
            DiscoveryError: if there is no cluster to ask, or it was started before.
        """
        working = False
        with self._roster.running():
            session = await self._open_session()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._roster.announce)
                task_status.started()
                working = True
                await self._go_round(session)
        if not working:  # stopped before it began, which is no failure of the one who waits for it
            task_status.started()

    async def _open_session(self) -> "Session":
        try:
            return await run_in_thread(self._connect, limiter=self._limiter)
        except (OSError, ImportError) as exc:
            raise DiscoveryError(f"the Kubernetes client cannot be made: {exc}") from exc

    def _connect(self) -> "Session":
        """Blocks: it imports the Kubernetes client, reads files, and may run a kubeconfig's credential plugin."""
        from peatd.discovery.kubernetes_client import open_client
        from peatd.discovery.kubernetes_session import Session

        config = self._config
        client = self._client or open_client(config.service_account_dir, config.kubeconfig)
        return Session(client, _namespace(config), config.label_selector, config.annotation_prefix)

    async def _go_round(self, session: "Session") -> None:
        while True:
            ending = await self._round(session)
            standing = self._standings[ending.verb]
            _note(ending, standing)
            seconds = pause(ending, standing.quick, random.random())
            standing.quick = standing.quick + 1 if ending.is_quick else 0
            if not ending.may_resume:
                self._resource_version = None
            await trio.sleep(seconds)
            if ending.renew:
                session = await self._renewed(session)

    async def _renewed(self, session: "Session") -> "Session":
        """With credentials read anew; where that fails, those that were refused are still the best we have."""
        try:
            return await self._open_session()
        except DiscoveryError as exc:
            _log.warning("kubernetes_credentials_unreadable", error=str(exc))
            return session

    async def _round(self, session: "Session") -> Ending:
        now = trio.current_time()
        list_due = now if self._listed_at is None else self._listed_at + self._config.poll_interval
        if now >= list_due:
            self._resource_version = None
        resume = self._resource_version
        verb: Verb = "list" if resume is None else "watch"
        wait = self._config.poll_interval if resume is None else list_due - now
        scope = trio.CancelScope(deadline=now + (_LIST_BOUND if resume is None else wait + _WATCH_BOUND))
        cord = Cord()

        def deliver(answers: list[Answer]) -> None:
            trio.from_thread.run_sync(self._take, answers, cord, scope)

        with scope:
            try:
                return await run_in_thread(session.round, cord, resume, wait, deliver, limiter=self._limiter)
            except OSError as exc:  # of the thread: what happens in it, it tells
                return _failed(verb, str(exc.strerror or exc), now)
            finally:
                cord.cut()
                # The limiter's token comes back as the thread ends. (Invariant 2)
                with trio.move_on_after(_THREAD_GRACE, shield=True):
                    async with self._limiter:
                        pass
        verb = "list" if self._resource_version is None else "watch"
        return _failed(verb, f"no end after {trio.current_time() - now:.0f} s", now)

    def _take(self, answers: list[Answer], cord: Cord, round_scope: trio.CancelScope) -> None:
        if cord.is_cut:
            raise ConnectionAbortedError("the round was ended")  # Invariant 2
        for answer in answers:
            match answer:
                case Listed():
                    self._take_list(answer)
                    round_scope.deadline = trio.current_time() + self._config.poll_interval + _WATCH_BOUND
                case Watching():
                    _mend("watch", self._standings["watch"])
                case WatchEvent():
                    self._take_event(answer)
        self._roster.replace(self._table.peers())

    def _take_list(self, listed: Listed) -> None:
        for name, reason in listed.unread.items():
            _log.warning("endpointslice_unreadable", name=name, reason=reason)
        self._table.replace(listed.slices, unread=listed.unread)
        self._resource_version = listed.resource_version
        self._listed_at = trio.current_time()
        self._standings["list"].quick = 0
        _mend("list", self._standings["list"])

    def _take_event(self, event: WatchEvent) -> None:
        self._resource_version = event.resource_version
        match event.change:
            case SliceChanged(name, content):
                self._table.put(name, content)
            case SliceGone(name):
                self._table.remove(name)
            case SliceUnread(name, reason):
                # It stays as it was: the API server checks what it stores, so this is ours to look into.
                _log.warning("endpointslice_unreadable", name=name, reason=reason)


def _namespace(config: KubernetesDiscoveryConfig) -> str:
    if config.namespace:
        return config.namespace
    try:
        return (config.service_account_dir / "namespace").read_text(encoding="utf-8").strip() or "default"
    except (OSError, ValueError):
        return "default"


def _failed(verb: Verb, reason: str, begun: float) -> Ending:
    return Ending(verb, Cause.FAILED, f"cannot {verb} endpointslices: {reason}", trio.current_time() - begun)


def _note(ending: Ending, standing: _Standing) -> None:
    """A verb fails: logged once per cause, however often it is retried."""
    if ending.cause in (Cause.DONE, Cause.EXPIRED):
        return
    if standing.ending is None:
        standing.since = time.time()
    if standing.ending is None or standing.ending.cause is not ending.cause:
        _log.warning("kubernetes_discovery_stale", verb=ending.verb, reason=ending.message)
    standing.ending = ending


def _mend(verb: Verb, standing: _Standing) -> None:
    if standing.ending is not None:
        standing.ending = None
        _log.info("kubernetes_discovery_works_again", verb=verb)
