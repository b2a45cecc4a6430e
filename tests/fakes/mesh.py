"""A node as the API sees it, in memory: real Yjs documents and the library's rules, without disk, engine or peers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import trio
import y_py
from fakes.custody import FakeCustody

from peatd.api.topology_views import MemberView, TopologyLink, TopologyView
from peatd.api.views import PeerView, RelayView
from peatd.engine.json_view import root_view
from peatd.engine.tree import Tree
from peatd.entry import Entry
from peatd.errors import AckTimeout, InvalidEdit, MissingUpdates, NoSuchDocument, PreconditionFailed, TooLarge
from peatd.events import EventLog
from peatd.library import API, DURABLE, Ack, DocumentListing, DocumentView, IfMatch, SetAside, Written
from peatd.measures import Durations, Measure, gauge
from peatd.names import DocumentKey, DocumentName
from peatd.readiness import OWN_CHECKS, Readiness, Report
from peatd.update import MAX_UPDATE_BYTES, Reach, check, decode_state_vector, examine

_LARGEST_INTEGER = 2**63 - 1


class _Copy:
    """One life of a document."""

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.doc = y_py.YDoc()
        self.reach = Reach()

    @property
    def etag(self) -> str:
        return f"{self.incarnation}-{self.reach.digest().hex()}"

    def entry(self, name: DocumentName) -> Entry:
        return Entry(name, self.incarnation, deleted=False, reach=self.reach, version=1, begun=1)

    def value(self) -> dict[str, Any]:
        return dict(json.loads(self.doc.get_map("data").to_json()))

    def put(self, value: Mapping[str, Any]) -> None:
        before = y_py.encode_state_vector(self.doc)
        held, root = self.value(), self.doc.get_map("data")
        with self.doc.begin_transaction() as transaction:
            for gone in held.keys() - value.keys():
                root.pop(transaction, gone)
            for key, new in value.items():
                if key not in held or held[key] != new:
                    root.set(transaction, key, new)
        news = y_py.encode_state_as_update(self.doc, before)
        self.reach.absorb(check(news, subdocuments=False))

    def roots(self) -> dict[str, Any]:
        update, tree = bytes(y_py.encode_state_as_update(self.doc)), Tree()
        tree.integrate(update, examine(update, subdocuments=False))
        return {name: root_view(root) for name, root in tree.roots.items() if name != "data"}


class FakeLibrary:
    """Attributes, for tests to set:

    highest: the rung that changes reach at once.
    failure: raised by whatever is asked next, and from then on.
    set_aside: the quarantine, latest first.
    """

    def __init__(self, events: EventLog | None = None) -> None:
        self._events = events or EventLog("00" * 8)
        self.highest: Ack = DURABLE
        self.failure: Exception | None = None
        self.set_aside: list[SetAside] = []
        self._copies: dict[DocumentName, _Copy] = {}
        self._lives: dict[DocumentName, int] = {}

    def count(self) -> int:
        return len(self._copies)

    def digest(self) -> str:
        return f"{len(self._copies):032x}"

    def list(self, collection: str | None, *, after: DocumentName | None, limit: int) -> Sequence[DocumentListing]:
        self._fail_if_told()
        names = [name for name in sorted(self._copies) if collection in (None, name.split("/")[0])]
        listed = [name for name in names if after is None or name > after]
        return [DocumentListing(name, self._copies[name].incarnation, self.size_bytes(name)) for name in listed[:limit]]

    def size_bytes(self, name: DocumentName) -> int:
        copy = self._copies.get(name)
        return len(y_py.encode_state_as_update(copy.doc)) if copy is not None else 0

    def etag(self, key: DocumentKey) -> str | None:
        copy = self._copies.get(key.name)
        return copy.etag if copy is not None and copy.incarnation == key.incarnation else None

    async def read(self, name: DocumentName) -> DocumentView:
        copy = self._living(name)
        return DocumentView(copy.incarnation, copy.etag, *map(msgspec.json.encode, (copy.value(), copy.roots())))

    async def put(
        self, name: DocumentName, value: dict[str, Any], *, if_match: IfMatch | None, origin: str = API
    ) -> Written:
        self._check(name, if_match)
        _refuse_what_cannot_be_held(value)
        created, copy = self._begin_or_find(name)
        copy.put(value)
        self._events.changed(copy.entry(name), b"", None)
        return Written(created, copy.incarnation, copy.etag, None)

    async def patch(
        self, name: DocumentName, patch: dict[str, Any], *, if_match: IfMatch | None, origin: str = API
    ) -> Written:
        held = self._copies[name].value() if name in self._copies else {}
        return await self.put(name, _merge(held, patch), if_match=if_match)

    async def delete(self, name: DocumentName, *, if_match: IfMatch | None) -> Written:
        copy = self._living(name)
        self._check(name, if_match)
        del self._copies[name]
        self._events.ended(copy.entry(name), None)
        return Written(created=False, incarnation=copy.incarnation, etag="", mark=None)

    async def diff(self, name: DocumentName, state_vector: bytes) -> bytes:
        copy = self._living(name)
        decode_state_vector(state_vector)
        return bytes(y_py.encode_state_as_update(copy.doc, state_vector))

    async def apply(self, name: DocumentName, update: bytes, *, origin: str = API) -> Written:
        self._fail_if_told()
        if len(update) > MAX_UPDATE_BYTES:
            raise TooLarge("an update has at most 1 MiB")
        content = check(update, subdocuments=False)
        reach = self._copies[name].reach if name in self._copies else Reach()
        if reach.lacks(content):
            raise MissingUpdates(f"the update builds on updates that {name} lacks", reach.state_vector())
        created, copy = self._begin_or_find(name)
        y_py.apply_update(copy.doc, update)
        copy.reach.absorb(content)
        return Written(created, copy.incarnation, copy.etag, None)

    async def quarantine(self) -> Sequence[SetAside]:
        self._fail_if_told()
        return self.set_aside

    async def acknowledged(self, written: Written, ack: Ack, timeout: float) -> Ack:
        if ack > self.highest:
            with trio.move_on_after(timeout):
                await trio.sleep_forever()
            raise AckTimeout(f"the change is {self.highest}, not {ack}, after {timeout:g} s", str(self.highest))
        return ack

    def _fail_if_told(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _living(self, name: DocumentName) -> _Copy:
        self._fail_if_told()
        if name not in self._copies:
            raise NoSuchDocument(f"there is no document {name} here")
        return self._copies[name]

    def _check(self, name: DocumentName, if_match: IfMatch | None) -> None:
        self._fail_if_told()
        etag = self._copies[name].etag if name in self._copies else None
        if if_match is not None and not if_match.holds(etag):
            raise PreconditionFailed(f"{name} is at version {etag}")

    def _begin_or_find(self, name: DocumentName) -> tuple[bool, _Copy]:
        if name in self._copies:
            return False, self._copies[name]
        self._lives[name] = self._lives.get(name, 0) + 1
        self._copies[name] = _Copy(self._lives[name])
        self._events.begun(self._copies[name].entry(name), None)
        return True, self._copies[name]


class FakeMesh:
    """peat-mesh-0, ready, linked to peat-mesh-1."""

    node_id = "peat-mesh-0"
    device_id = "00" * 16
    public_key = "11" * 32
    formation = "peat"
    version = "0.1.0"

    def __init__(self) -> None:
        self.events = EventLog("00" * 8)
        self.documents = FakeLibrary(self.events)
        self.custody = FakeCustody()
        self.clients: str | None = None
        self.stuck: str | None = None
        self.draining: str | None = None
        self.checks = Readiness()
        for name in OWN_CHECKS:
            self.checks.add(name, (lambda: self.draining) if name == "drain" else (lambda: None))

    @property
    def secrets(self) -> Sequence[str]:
        return self.custody.formation.fingerprints

    def uptime(self) -> float:
        return 12.75

    def addresses(self) -> Mapping[str, str | None]:
        return {"api": "127.0.0.1:8081", "mesh": "0.0.0.0:11204", "clients": self.clients}

    def relays(self) -> Sequence[RelayView]:
        return [RelayView("https://relay.example.org", "registered", 12.0, None)]

    def health(self) -> str | None:
        return self.stuck

    def readiness(self) -> Report:
        return self.checks.report()

    @property
    def is_leaving(self) -> bool:
        return self.draining is not None

    def measures(self) -> Sequence[Measure | Durations]:
        return [gauge("peat_uptime_seconds", "Since the node started.", self.uptime())]

    def peers(self) -> Sequence[PeerView]:
        return [PEER]

    def peer(self, peer_id: str) -> PeerView | None:
        return PEER if peer_id in (PEER.id, PEER.device_id) else None

    def topology(self) -> TopologyView:
        members = [
            MemberView("peat-mesh-0", "11" * 16, "self", None),
            MemberView("peat-mesh-1", PEER.device_id or "", "reachable", None),
        ]
        return TopologyView(1, "peer", 0, [TopologyLink("peat-mesh-0", "peat-mesh-1", 0.4)], members)


PEER = PeerView(
    id="peat-mesh-1",
    device_id="22" * 16,
    connected=True,
    state="linked",
    rtt_ms=0.4,
    source="kubernetes",
    addresses=["10.0.0.2:11204"],
    relay_url=None,
    via="direct",
    metadata={"zone": "west"},
    last_seen_secs=1.5,
    last_sync_secs=None,
    owed_documents=0,
    error=None,
)


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7396 §2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def _refuse_what_cannot_be_held(value: Any) -> None:
    match value:
        case dict():
            for one in value.values():
                _refuse_what_cannot_be_held(one)
        case list():
            for one in value:
                _refuse_what_cannot_be_held(one)
        case int() if abs(value) > _LARGEST_INTEGER:
            raise InvalidEdit(f"the number {value} does not fit into 64 bits")
