"""All rooms of this node, and who sends what happened in them."""

import trio

from peatd.awareness import Awareness
from peatd.clients.aftercare import Confirmer, Farewells, Greeter, Recovery
from peatd.clients.room import Room
from peatd.clients.shelf import Shelf
from peatd.entry import Entry
from peatd.names import DeviceId, DocumentName
from peatd.replication import Replication


class Rooms:
    """The documents that have clients. Implements `replication.Watcher`."""

    def __init__(self, replication: Replication, awareness: Awareness, shelf: Shelf | None = None) -> None:
        self.awareness = awareness
        self.confirmer = Confirmer(replication.store)
        self.recovery = Recovery(replication.store)
        self.greeter = Greeter()
        self.farewells = Farewells()
        self.shelf = shelf or Shelf()
        self._replication = replication
        self._rooms: dict[DocumentName, Room] = {}
        self._unsettled: dict[Room, None] = {}
        self._restless: set[Room] = set()
        self._has_moved = trio.Event()
        replication.watch(self)
        replication.documents.watch_turns(self._send_news)
        awareness.watch(self._moved)

    async def run(self) -> None:
        """All that is done for clients beside answering them, until cancelled."""
        async with trio.open_nursery() as nursery:
            services = (self.confirmer, self.recovery, self.greeter, self.farewells, self.shelf)
            for part in (self._tell_company, *(service.run for service in services)):
                nursery.start_soon(part)

    def _send_news(self) -> None:
        """Sends news, all that a turn of the engine has brought at once: a burst costs a send for each client, not for
        each client and update. Peers and the disk have their turn after those who are here."""
        unsettled, self._unsettled = self._unsettled, {}
        for room in unsettled:
            room.flush()

    async def _tell_company(self) -> None:
        """Tells who is where."""
        while True:
            await self._has_moved.wait()
            self._has_moved = trio.Event()
            while self._restless:
                now = trio.current_time()
                room = min(self._restless, key=lambda room: room.company.due_at)
                if room.company.due_at <= now:
                    self._restless.discard(room)
                    room.company.flush(now)
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.sleep_until(room.company.due_at)

    def room(self, name: DocumentName) -> Room:
        """The document's room; opened for its first client."""
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room(name, self._replication, self.awareness, self.shelf, self._note)
        return room

    def owed(self) -> int:
        """How many clients lack something that is not on its way to them."""
        return sum(room.owed() for room in self._rooms.values())

    def leave(self, room: Room) -> None:
        """A client has left it."""
        if not room.seats:
            self._rooms.pop(room.name, None)

    def begun(self, entry: Entry, _origin: DeviceId | None) -> None:
        if room := self._rooms.get(entry.name):
            room.begun(entry)

    def changed(self, entry: Entry, update: bytes, _origin: DeviceId | None) -> None:
        if room := self._rooms.get(entry.name):
            room.changed(update)

    def ended(self, entry: Entry, _origin: DeviceId | None) -> None:
        if room := self._rooms.get(entry.name):
            room.ended()

    def copied(self, entry: Entry) -> None:
        if room := self._rooms.get(entry.name):
            room.arrived()

    def _moved(self, name: DocumentName, client: int) -> None:
        if room := self._rooms.get(name):
            room.company.changed(client)
            self._restless.add(room)
            self._has_moved.set()

    def _note(self, room: Room) -> None:
        self._unsettled[room] = None
