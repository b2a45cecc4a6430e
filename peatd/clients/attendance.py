"""A client in a room: what its messages do there. The same for every protocol that carries them."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import trio

from peatd.clients import closes, protocol, states
from peatd.clients.line import Line
from peatd.clients.protocol import Message, Presence, QueryAwareness, Step1, Unknown, Update
from peatd.clients.rooms import Rooms
from peatd.clients.seat import Seat
from peatd.errors import DocumentEnded, MissingUpdates, PeatError, Unavailable
from peatd.join import join
from peatd.names import DocumentName
from peatd.update import decode_state_vector

READ_ONLY = "your token lets you read this document, not change it"
_NOT_NOW = "your changes cannot be stored now ({}); you will be asked for them again"


class Workload(Protocol):
    """Where a connection counts the updates that are being merged (session.py)."""

    def submitted(self) -> None: ...

    def settled(self, count: int, *, is_news: bool) -> None: ...


class Attendance:
    """One client's part in one document.

    Args:
        origin: names the client to the quarantine.
        leave: ends it: a close code, and why in words.
        prefix: stands before each message to the client.
        confirm: is told how many of the client's updates are on the disk now, or (False) were refused for good.
    """

    def __init__(
        self,
        rooms: Rooms,
        name: DocumentName,
        line: Line,
        workload: Workload,
        *,
        may_write: bool,
        origin: str,
        leave: Callable[[int, str], None],
        prefix: bytes = b"",
        confirm: Callable[[bool, int], None] | None = None,
    ) -> None:
        self._rooms = rooms
        self._workload = workload
        self._confirm = confirm
        self._written: list[bytes] = []
        self._refused = 0
        self._is_asked = False
        self._is_going = False
        self.room = rooms.room(name)
        self.seat = Seat(line, rooms.awareness.enter(name), prefix, may_write, leave, origin)
        self.room.enter(self.seat)

    def left(self) -> None:
        """The client takes part no more."""
        self.submit()
        self.room.exit(self.seat)
        self._rooms.awareness.leave(self.seat.speaker, trio.current_time())
        self._rooms.recovery.forget(self._ask)
        self._rooms.leave(self.room)

    def hear(self, message: Message) -> None:
        """Does what the client says.

        Raises:
            MalformedMessage, MalformedUpdate: if it holds what is no state vector, or no awareness update.
        """
        match message:
            case Update():
                self._write(message)
            case Step1():
                if not self.seat.speaker.is_listening:
                    self.seat.speaker.is_listening = True
                    self._rooms.greeter.later(self._greet)
                if not self.room.told(self.seat, message.vector, decode_state_vector(message.vector)):
                    self._send_away()
            case Presence():
                self._present(message)
            case QueryAwareness():
                self.room.company.tell(self.seat)
            case Unknown():
                pass

    def submit(self) -> None:
        """Has merged what the client has written since the last call: at the end of each read, and at its own."""
        written, self._written = self._written, []
        for joined in join(written):
            self._submit(joined.update, joined.count, is_step_2=False)

    # Awareness -------------------------------------------------------------------------------------------------

    def _present(self, message: Presence) -> None:
        told = states.decode(message.states)
        speaker = self.seat.speaker
        for one in told:
            # What it says of others is its echo of what we told it.
            if one.client in speaker.ids or self._rooms.awareness.is_free(speaker.name, one.client):
                states.check(one)
        self._rooms.awareness.heard(speaker, told, trio.current_time())
        self._greet()

    def _greet(self) -> None:
        """Tells the client who else is there: behind its own state, which it sends by itself at the beginning and which
        could not be told from an echo otherwise (awareness.py, rule 2)."""
        if self.seat in self.room.seats and not self.seat.speaker.has_heard:
            self.room.company.tell(self.seat)

    # Updates ---------------------------------------------------------------------------------------------------

    def _write(self, message: Update) -> None:
        if message.is_step_2:
            self._is_asked = False
        if not self.seat.may_write:
            self._refuse_to_write(message)
            return
        self._workload.submitted()
        if message.is_step_2:
            self.submit()
            self._submit(message.update, 1, is_step_2=True)
        else:
            self._written.append(message.update)

    def _submit(self, update: bytes, count: int, *, is_step_2: bool) -> None:
        taken, failed = partial(self._taken, count, is_step_2), partial(self._failed, count, is_step_2)
        # What it lacks itself it may get later, from elsewhere, and then we lack it.
        lacking = partial(self._rooms.recovery.later, self._ask) if is_step_2 else None
        self.room.writing.write(self.seat, update, taken, failed, lacking)

    def _refuse_to_write(self, message: Update) -> None:
        # A client that was asked what we lack answers, also if that is nothing.
        holds_news = message.update != protocol.NOTHING and not self.room.covers(message.update)
        if self._confirm is not None:
            self._confirm(not holds_news, 1)
        elif holds_news:
            self.seat.say(protocol.denied(READ_ONLY))

    def _taken(self, count: int, is_step_2: bool, seq: int, is_news: bool) -> None:
        self._workload.settled(count, is_news=is_news)
        if is_step_2:  # it holds all that was refused before
            count += self._refused
            self._refused = 0
        if self._confirm is not None:
            self._rooms.confirmer.later(seq, partial(self._confirm, True, count))

    def _failed(self, count: int, is_step_2: bool, error: PeatError) -> None:
        self._workload.settled(count, is_news=False)
        match error:
            case MissingUpdates() if not is_step_2:
                self._refused += count
                if not self._is_asked:
                    self._ask()
            case MissingUpdates() | Unavailable():
                if not self._refused and self._confirm is None and isinstance(error, Unavailable):
                    self.seat.say(protocol.denied(_NOT_NOW.format(error)))
                self._refused += count
                self._rooms.recovery.later(self._ask)
            case DocumentEnded():
                self._send_away()
            case _:
                self.seat.leave(*closes.for_error(error))

    def _send_away(self) -> None:
        """It brings what was deleted."""
        if not self._is_going:
            self._is_going = True
            self._rooms.farewells.say(self._say_farewell)

    def _say_farewell(self) -> None:
        if self.seat in self.room.seats:
            self.seat.leave(*closes.DELETED)

    def _ask(self) -> None:
        self._is_asked = True
        self.room.ask(self.seat)
