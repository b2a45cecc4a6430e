"""Being a relay, put together from the settings: for a node that is one too, and for `peat-relay`, which is no more."""

import ssl
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import structlog
import trio

from peatd.errors import ConfigError
from peatd.limits import LimitHits
from peatd.measures import Kind, Measure, counter, gauge
from peatd.names import Address, DeviceId
from peatd.relay.gate import Gate
from peatd.relay.reception import Reception, serve_relay
from peatd.relay.switchboard import RelayLimits, Switchboard
from peatd.settings.relays import RelaySettings

log = structlog.get_logger()


class RelayRole:
    """One relay.

    Args:
        allowed: relay keys of the formations that it serves beside those of the settings, now.
        is_revoked: whether a node is to be let in no more.

    Raises:
        ConfigError: if its certificate cannot be read.
    """

    def __init__(
        self,
        settings: RelaySettings,
        hits: LimitHits,
        allowed: Callable[[], Collection[bytes]] = tuple,
        is_revoked: Callable[[DeviceId], bool] = lambda _device_id: False,
    ) -> None:
        listed = frozenset(bytes.fromhex(key) for key in settings.relay_allow)
        limits = RelayLimits(
            settings.relay_registrations, settings.relay_circuits, settings.relay_rate, settings.relay_total_rate
        )
        self._bind = settings.relay_listen
        self._switchboard = Switchboard(limits, hits)
        certificate = None
        if settings.relay_tls_cert is not None and settings.relay_tls_key is not None:
            certificate = Certificate(settings.relay_tls_cert, settings.relay_tls_key)
        gate = Gate(settings.relay_name, lambda: listed.union(allowed()), is_revoked)
        self._reception = Reception(gate, self._switchboard, hits, None if certificate is None else certificate.context)

    async def run(self, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until cancelled; reports where.

        Raises:
            ConfigError: if the address cannot be bound.
        """
        assert self._bind is not None
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(serve_relay, self._bind, self._reception)
            task_status.started(bound[0])

    def measures(self) -> Iterator[Measure]:
        board, reception = self._switchboard, self._reception
        yield gauge("peat_relay_registrations", "Nodes that are registered at this relay.", board.registrations)
        yield gauge("peat_relay_circuits", "Circuits of this relay, those that wait included.", board.circuits)
        yield counter("peat_relay_circuits_total", "Circuits that came about.", board.tally.circuits)
        yield counter("peat_relay_bytes_total", "Bytes that were passed on.", board.tally.passed_bytes)
        requests = [((op,), count) for op, count in reception.requests.items()]
        yield Measure("peat_relay_requests_total", Kind.COUNTER, "Requests that were let in.", requests, ("op",))
        refusals = [((code,), count) for code, count in reception.refusals.items()]
        yield Measure("peat_relay_refusals_total", Kind.COUNTER, "Requests that were refused.", refusals, ("code",))


class Certificate:
    """The relay's certificate, as it lies on the disk: whoever renews it need not tell us.

    Raises:
        ConfigError: if it cannot be read, or is none.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        try:
            self._stamp = self._stamps()
            self._context = self._load()
        except (OSError, ssl.SSLError) as exc:
            reason = exc.strerror or exc
            raise ConfigError(f"{certificate} and {key} are no certificate and its key: {reason}") from exc

    def context(self) -> ssl.SSLContext:
        """For a connection that comes now."""
        try:
            stamp = self._stamps()
            if stamp != self._stamp:
                self._stamp = stamp
                self._context = self._load()
                log.info("relay certificate read again", file=str(self._files[0]))
        except (OSError, ssl.SSLError) as exc:
            # The one that we have is good until it expires; the files may be between two states.
            log.warning("relay certificate not read again", file=str(self._files[0]), reason=str(exc))
        return self._context

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        found = [file.stat() for file in self._files]
        return tuple((each.st_ino, each.st_mtime_ns) for each in found)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        context.load_cert_chain(*self._files)
        return context
