"""The dialect of y-websocket: one document, named in the URL."""

from collections.abc import Sequence

from peatd.clients import protocol
from peatd.clients.attendance import Attendance
from peatd.clients.door import Rights
from peatd.clients.rooms import Rooms
from peatd.clients.session import Session
from peatd.names import DocumentName


class YWebsocket:
    """Implements `session.Dialect`."""

    def __init__(self, session: Session, rooms: Rooms, name: DocumentName, rights: Rights) -> None:
        self._attendance = Attendance(
            rooms,
            name,
            session.line,
            session,
            may_write=rights.may_write,
            origin=session.origin(rights.subject),
            leave=session.close,
        )
        self.attendances: Sequence[Attendance] = (self._attendance,)
        self._rights = rights

    @property
    def is_known(self) -> bool:
        return True  # its token was in the URL

    def received(self, message: bytes) -> None:
        self._attendance.hear(protocol.decode(message))

    def sign_of_life(self) -> bytes:
        return protocol.SIGN_OF_LIFE

    def expire(self, now: float) -> None:
        """Ends what the client's token no longer covers at `now`, seconds since 1970."""
        end = self._rights.end(now)
        if end is not None:
            self._attendance.seat.leave(*end)

    def left(self) -> None:
        self._attendance.left()
