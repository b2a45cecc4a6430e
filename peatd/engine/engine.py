"""What the engine process does: a request in, a reply out. Sans-IO; the loop around it is `__main__.py`.

Rules:
1. No update reaches the library before it passed the structural check, and unless all that it builds on is here.
2. After the library panicked, or an update left something pending, the copy in memory is dropped: the node loads it
   anew from its log, which is the truth.
"""

from collections.abc import Callable, Sequence
from typing import assert_never

from msgspec.structs import replace

from peatd.cut import cut
from peatd.engine.document import AT_ONCE_BYTES, NOTHING, Document, Pending
from peatd.engine.edits import patch, put
from peatd.engine.library import Library
from peatd.engine.protocol import (
    FORMER,
    INVALID,
    MALFORMED,
    MISSING,
    TOO_LARGE,
    Apply,
    Audit,
    BadRow,
    Close,
    Cut,
    Diff,
    Done,
    Encoded,
    Merged,
    MergedInPieces,
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
from peatd.errors import Gap, InvalidEdit, MalformedUpdate
from peatd.mergeable import mergeable
from peatd.rewrite import without_deleted
from peatd.update import EMPTY_STATE_VECTOR, MAX_DOCUMENT_CLIENTS, MAX_UNCUT_BYTES

_MAX_REASON = 500

_MAX_TREES = 64
_MAX_TREE_BYTES = 2 * 1024 * 1024
"""Of updates, whose trees are kept between two reads or edits: a tree takes some twenty times that."""


class Engine:
    """The open documents of one process.

    Args:
        library: y-py or pycrdt.
        new_client: makes a random 32-bit client id. Each copy gets its own: an id that is used twice for different
            edits destroys documents for good.
        at_once_bytes: that the library is given at once.
    """

    def __init__(self, library: Library, new_client: Callable[[], int], at_once_bytes: int = AT_ONCE_BYTES) -> None:
        self._library = library
        self._at_once_bytes = at_once_bytes
        self._new_client = new_client
        self._documents: dict[int, Document] = {}
        self._trees: dict[int, Document] = {}  # the one that was asked for last stands last

    def handle(self, request: Request) -> Reply:
        """Never raises for what a request holds; a MemoryError ends the process."""
        if isinstance(request, Open):
            return self._open(request)
        if isinstance(request, Audit):
            return self._audit(request)
        if isinstance(request, Close):
            self._forget(request.document)
            return Done()
        document = self._documents.get(request.document)
        if document is None:
            return NotOpen()
        try:
            return self._ask(document, request)
        except Gap as exc:
            return Refused(MISSING, str(exc), document.reach.state_vector())
        except MalformedUpdate as exc:
            return Refused(MALFORMED, str(exc))
        except InvalidEdit as exc:
            return Refused(INVALID, str(exc))
        except Pending as exc:
            self._forget(request.document)  # Rule 2
            return Refused(MALFORMED, str(exc))
        except BaseException as exc:  # a panic of the library's Rust is no Exception
            self._forget(request.document)  # Rule 2
            return Panicked(_reason(exc))

    def _ask(self, document: Document, request: Apply | Diff | Snapshot | Read | Put | Patch) -> Reply:
        match request:
            case Apply():
                return self._apply(document, request)
            case Diff(state_vector=state_vector, piece_bytes=piece_bytes):
                diff = document.diff(state_vector)
                return Cut(cut(diff, piece_bytes)) if piece_bytes else Encoded(diff)
            case Snapshot():
                return Encoded(self._renewed(request.document, document))
            case Read():
                reply: Reply = document.read()
            case Put(value=value):
                reply = document.edit(lambda draft, data: put(draft, data, value))
            case Patch(merge_patch=merge_patch):
                reply = document.edit(lambda draft, data: patch(draft, data, merge_patch))
            case _:
                assert_never(request)
        self._keep_tree(request.document, document)
        return reply

    def _apply(self, document: Document, request: Apply) -> Reply:
        pieces, is_partial = self._cut(document, request)
        if len(pieces) == 1 and not is_partial:
            return self._merge(document, request.update, request)
        if (size_bytes := max(map(len, pieces))) > MAX_UNCUT_BYTES:
            return Refused(TOO_LARGE, f"it holds {size_bytes} bytes in one value; the limit is {MAX_UNCUT_BYTES}")
        news: list[Merged] = []
        for piece in pieces:
            try:
                reply = self._merge(document, piece, request)
            except MalformedUpdate as exc:
                raise Pending(str(exc)) from exc  # the pieces before it are in no log
            if isinstance(reply, Refused):
                self._forget(request.document)  # for the same reason
                return Refused(reply.code, reply.message)
            is_partial |= reply.is_partial
            if reply.news:
                news.append(reply)
        return MergedInPieces(news, is_partial) if news else replace(NOTHING, is_partial=is_partial)

    def _cut(self, document: Document, request: Apply) -> tuple[list[bytes], bool]:
        """What is to be merged, and whether something was left out."""
        piece_bytes = min(request.piece_bytes or self._at_once_bytes, self._at_once_bytes)
        try:
            return cut(request.update, piece_bytes), False
        except Gap:
            if not request.partly:
                raise
            return cut(mergeable(request.update, document.reach.clock), piece_bytes), True

    def _merge(self, document: Document, update: bytes, request: Apply) -> Merged | Refused:
        try:
            examined = document.examine(update)  # Rule 1
            is_partial = request.partly and document.reach.lacks(examined.content)
        except Gap:
            if not request.partly:
                raise
            is_partial = True
        if is_partial:
            update = mergeable(update, document.reach.clock)
            examined = document.examine(update)
        if request.former and not examined.content.ends.keys().isdisjoint(request.former):
            return Refused(FORMER, "it holds content of a document that was deleted")
        if document.reach.lacks(examined.content):
            return Refused(MISSING, "it builds on updates that are not here", document.reach.state_vector())
        if (clients := document.reach.clients_with(examined.content)) > MAX_DOCUMENT_CLIENTS:
            why = f"it would bring the document to {clients} clients; {MAX_DOCUMENT_CLIENTS} are taken at most"
            return Refused(TOO_LARGE, why)
        merged = document.apply(update, examined)
        return replace(merged, is_partial=True) if is_partial else merged

    def _renewed(self, number: int, document: Document) -> bytes:
        """The snapshot. The copy that proved it stays, and the one that it was made of goes: with all that was deleted
        in it, which y-py would keep for good."""
        snapshot, renewed = self._proven(document)
        renewed.succeed(document, len(snapshot))
        self._forget(number)
        self._documents[number] = renewed
        if renewed.tree_bytes:
            self._keep_tree(number, renewed)
        return snapshot

    def _keep_tree(self, number: int, document: Document) -> None:
        """It may be asked for again soon, but memory has bounds."""
        self._trees.pop(number, None)
        self._trees[number] = document
        size_bytes = sum(kept.tree_bytes for kept in self._trees.values())
        while self._trees and (size_bytes > _MAX_TREE_BYTES or len(self._trees) > _MAX_TREES):
            oldest = self._trees.pop(next(iter(self._trees)))
            size_bytes -= oldest.tree_bytes
            oldest.drop_tree()

    def _forget(self, number: int) -> None:
        self._documents.pop(number, None)
        self._trees.pop(number, None)

    def _open(self, request: Open) -> Reply:
        opened = self._load([request.snapshot, *request.updates])
        if isinstance(opened, BadRow):
            return opened
        opened.resume(request.client, request.clock)
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

    def _proven(self, document: Document) -> tuple[bytes, Document]:
        """The whole document, known to load again as the same: what was loaded."""
        everything = document.copy.diff(EMPTY_STATE_VECTOR)
        again = self._new_document()
        try:
            snapshot = without_deleted(everything, document.examine(everything).content)
            again.load(snapshot)
        except MalformedUpdate as exc:  # not of what was asked
            raise RuntimeError(f"the library encoded something malformed: {exc}") from exc
        if not again.reach.equals(document.reach):
            raise RuntimeError("the snapshot holds something else than the document")
        return snapshot, again

    def _new_document(self) -> Document:
        return Document(self._library, self._new_client, self._at_once_bytes)


def _reason(exc: BaseException) -> str:
    if isinstance(exc, MemoryError | KeyboardInterrupt | SystemExit):
        raise exc
    return f"{type(exc).__name__}: {exc}"[:_MAX_REASON]
