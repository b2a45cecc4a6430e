"""The dialect of Hocuspocus: many documents on one connection, each with a token of its own.

A document's part begins with the client's token, and only then is anything else of it heard. It ends when the client
says so, when its token expires or the document is deleted: with a word (close), and the connection stays for others.
"""

import time
from collections.abc import Sequence
from functools import partial

from peatd.clients import closes, frames, hocuspocus, protocol
from peatd.clients.attendance import Attendance
from peatd.clients.door import Door, Rights
from peatd.clients.hocuspocus import Auth, Leave, Stateless
from peatd.clients.request import Refused, Visit
from peatd.clients.rooms import Rooms
from peatd.clients.session import Session
from peatd.errors import InvalidName, MalformedMessage
from peatd.names import DocumentName, document_name, parse_document_name

MAX_DOCUMENTS = 256
"""On one connection."""
_SILENT_FOR = 30.0
"""Seconds that a connection may last without any document."""


class Many:
    """Implements `session.Dialect`."""

    def __init__(self, session: Session, rooms: Rooms, door: Door, visit: Visit) -> None:
        self._session = session
        self._rooms = rooms
        self._door = door
        self._visit = visit
        self._parts: dict[str, tuple[Attendance, Rights]] = {}
        self._idle_since: float | None = time.time()

    @property
    def attendances(self) -> Sequence[Attendance]:
        return [attendance for attendance, _ in self._parts.values()]

    @property
    def is_known(self) -> bool:
        return bool(self._parts)

    def received(self, message: bytes) -> None:
        key, said = hocuspocus.decode(message)
        part = self._parts.get(key)
        match said:
            case Auth():
                self._authenticate(key, said.token)
            case Leave():
                self._end(key)
            case Stateless():
                if part is not None:
                    self._pass_on(part[0], said.text)
            case _:
                if part is not None:
                    part[0].hear(said)

    def sign_of_life(self) -> bytes:
        key = next(iter(self._parts), None)
        return b"" if key is None else hocuspocus.prefix(key) + protocol.SIGN_OF_LIFE

    def expire(self, now: float) -> None:
        for key, (_, rights) in list(self._parts.items()):
            end = rights.end(now)
            if end is not None:
                self._close(key, *end)
        if self._parts:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since > _SILENT_FOR:
            self._session.close(*closes.NO_DOCUMENT)

    def left(self) -> None:
        for key in list(self._parts):
            self._end(key)

    # One document ----------------------------------------------------------------------------------------------

    def _authenticate(self, key: str, token: str) -> None:
        try:
            if key not in self._parts and len(self._parts) >= MAX_DOCUMENTS:
                raise MalformedMessage(f"a connection carries at most {MAX_DOCUMENTS} documents")
            name = self._name(key)
            rights = self._door.admit(self._visit, token or self._visit.token, name, time.time())
        except (Refused, InvalidName) as exc:
            self._end(key)
            self._say(key, hocuspocus.permission_denied(str(exc)))
            return
        self._say(key, hocuspocus.authenticated(may_write=rights.may_write))
        part = self._parts.get(key)
        if part is not None:  # it renews its token
            part[0].seat.may_write = rights.may_write
            self._parts[key] = part[0], rights
            return
        attendance = Attendance(
            self._rooms,
            name,
            self._session.line,
            self._session,
            may_write=rights.may_write,
            origin=self._session.origin(rights.subject),
            leave=partial(self._close, key),
            prefix=hocuspocus.prefix(key),
            confirm=partial(self._confirm, key),
        )
        self._parts[key] = attendance, rights

    def _name(self, key: str) -> DocumentName:
        name = hocuspocus.name_in(key)
        if self._visit.collection is not None and "/" not in name:
            return document_name(self._visit.collection, name)
        return parse_document_name(name)

    def _confirm(self, key: str, is_stored: bool, count: int) -> None:
        for _ in range(count):
            self._say(key, hocuspocus.sync_status(is_stored=is_stored))

    def _pass_on(self, attendance: Attendance, text: str) -> None:
        """What a client says to the application goes to the others who are at the document on this node."""
        if not attendance.seat.may_write:
            return
        for seat in attendance.room.seats:
            if seat is not attendance.seat and seat.prefix and not seat.line.is_full:
                seat.say(hocuspocus.stateless(text))

    def _close(self, key: str, code: int, reason: str) -> None:
        if code not in (closes.DELETED.code, closes.EXPIRED.code):
            self._session.close(code, reason)
            return
        self._end(key)
        self._say(key, hocuspocus.close(reason))

    def _end(self, key: str) -> None:
        part = self._parts.pop(key, None)
        if part is not None:
            part[0].left()

    def _say(self, key: str, message: bytes) -> None:
        self._session.line.send(frames.frame(hocuspocus.prefix(key) + message))
