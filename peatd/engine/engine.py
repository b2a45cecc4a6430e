"""What the engine process does: a request in, a reply out. Sans-IO; the loop around it is `__main__.py`.

Rules:
1. No update reaches the library before it passed the structural check, and unless all that it builds on is here.
2. After the library panicked, or an update left something pending, the copy in memory is dropped: the node loads it
   anew from its log, which is the truth.
"""

from collections.abc import Callable, Sequence
from typing import assert_never

from peatd.engine.document import Document, Pending
from peatd.engine.json_view import Shared, plan_patch, plan_put
from peatd.engine.library import Library
from peatd.engine.protocol import (
    INVALID,
    MALFORMED,
    MISSING,
    TOO_LARGE,
    Apply,
    Audit,
    BadRow,
    Close,
    Diff,
    Done,
    Encoded,
    NotOpen,
    Open,
    Opened,
    Panicked,
    Patch,
    Put,
    Read,
    Refused,
    Reply,
    Request,
    Snapshot,
)
from peatd.errors import InvalidEdit, MalformedUpdate
from peatd.rewrite import without_deleted
from peatd.update import EMPTY_STATE_VECTOR, MAX_DOCUMENT_CLIENTS

_MAX_REASON = 500


class Engine:
    """The open documents of one process.

    Args:
        library: y-py or pycrdt.
        new_client: makes a random 32-bit client id. Each copy gets its own: an id that is used twice for different
            edits destroys documents for good.
    """

    def __init__(self, library: Library, new_client: Callable[[], int]) -> None:
        self._library = library
        self._new_client = new_client
        self._shared = Shared(library.is_map, library.look_inside)
        self._documents: dict[int, Document] = {}

    def handle(self, request: Request) -> Reply:
        """Never raises for what a request holds; a MemoryError ends the process."""
        if isinstance(request, Open):
            return self._open(request)
        if isinstance(request, Audit):
            return self._audit(request)
        if isinstance(request, Close):
            self._documents.pop(request.document, None)
            return Done()
        document = self._documents.get(request.document)
        if document is None:
            return NotOpen()
        try:
            return self._ask(document, request)
        except MalformedUpdate as exc:
            return Refused(MALFORMED, str(exc))
        except InvalidEdit as exc:
            return Refused(INVALID, str(exc))
        except Pending as exc:
            del self._documents[request.document]  # Rule 2
            return Refused(MALFORMED, str(exc))
        except BaseException as exc:  # a panic of the library's Rust is no Exception
            del self._documents[request.document]  # Rule 2
            return Panicked(_reason(exc))

    def _ask(self, document: Document, request: Apply | Diff | Snapshot | Read | Put | Patch) -> Reply:
        match request:
            case Apply(update=update):
                examined = document.examine(update)  # Rule 1
                if document.reach.lacks(examined.content):
                    return Refused(MISSING, "it builds on updates that are not here", document.reach.state_vector())
                if (clients := document.reach.clients_with(examined.content)) > MAX_DOCUMENT_CLIENTS:
                    why = f"it would bring the document to {clients} clients; {MAX_DOCUMENT_CLIENTS} are taken at most"
                    return Refused(TOO_LARGE, why)
                return document.apply(update, examined)
            case Diff(state_vector=state_vector):
                return Encoded(document.diff(state_vector))
            case Snapshot():
                return Encoded(self._proven(document))
            case Read(roots=roots):
                return document.read(roots)
            case Put(value=value):
                return document.change(lambda data: plan_put(data, value, self._shared))
            case Patch(merge_patch=merge_patch):
                return document.change(lambda data: plan_patch(data, merge_patch, self._shared))
        assert_never(request)

    def _open(self, request: Open) -> Reply:
        opened = self._load([request.snapshot, *request.updates])
        if isinstance(opened, BadRow):
            return opened
        self._documents[request.document] = opened
        return Opened(opened.reach.encode())

    def _load(self, rows: Sequence[bytes]) -> Document | BadRow:
        """Of the rows the first is the snapshot."""
        document = self._new_document()
        document.foresee(rows)
        for index, row in enumerate(rows, start=-1):
            try:
                document.load(row)
            except BaseException as exc:  # a panic of the library's Rust is no Exception
                return BadRow(index, _reason(exc))
        return document

    def _audit(self, request: Audit) -> Reply:
        rows = [request.snapshot, *request.updates]
        good, found = 0, self._flaw(rows)
        while found is not None and len(rows) - good > 1:  # the first `good` rows are without flaw, all of them are not
            half = (good + len(rows)) // 2
            flaw = self._flaw(rows[:half])
            if flaw is None:
                good = half
            else:
                rows, found = rows[:half], flaw
        return Done() if found is None else BadRow(len(rows) - 2, found)

    def _flaw(self, rows: Sequence[bytes]) -> str | None:
        document = self._load(rows)
        if isinstance(document, BadRow):
            return document.reason
        try:
            self._proven(document)
        except BaseException as exc:  # a panic of the library's Rust is no Exception
            return _reason(exc)
        return None

    def _proven(self, document: Document) -> bytes:
        """The whole document, known to load again as the same."""
        everything = document.copy.diff(EMPTY_STATE_VECTOR)
        snapshot = without_deleted(everything, document.examine(everything).content)
        again = self._new_document()
        again.load(snapshot)
        if not again.reach.equals(document.reach):
            raise RuntimeError("the snapshot holds something else than the document")
        return snapshot

    def _new_document(self) -> Document:
        return Document(self._library, self._shared, self._new_client)


def _reason(exc: BaseException) -> str:
    if isinstance(exc, MemoryError | KeyboardInterrupt | SystemExit):
        raise exc
    return f"{type(exc).__name__}: {exc}"[:_MAX_REASON]
