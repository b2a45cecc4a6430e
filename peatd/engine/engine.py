"""What the engine process does: a request in, a reply out. Sans-IO; the loop around it is `__main__.py`.

Rules:
1. No update reaches the library before it passed the structural check, and unless all that it builds on is here.
2. After the library panicked, or an update left something pending, the copy in memory is dropped: the node loads it
   anew from its log, which is the truth.
3. A root is opened as one kind only. When its kind turns out to be another, the copy is made anew first.
4. What the library gets is rewritten where it would corrupt it: see `rewrite.py`.
"""

from collections.abc import Callable, Sequence
from typing import assert_never

from peatd.engine.json_view import Change, Shared, plan_patch, plan_put, view
from peatd.engine.library import Copy, Library
from peatd.engine.protocol import (
    INVALID,
    MALFORMED,
    MISSING,
    Apply,
    Audit,
    BadRow,
    Close,
    Diff,
    Done,
    Encoded,
    Merged,
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
    Viewed,
)
from peatd.errors import InvalidEdit, MalformedUpdate
from peatd.ranges import Ranges
from peatd.reach import surer_kind
from peatd.rewrite import harmless, without_deleted
from peatd.update import EMPTY_STATE_VECTOR, Examined, Reach, decode_state_vector, examine

ROOT = "data"
"""The root map that is the document's JSON."""

_NOTHING = Merged(b"", {}, {}, {}, {}, {})
_EMPTY_UPDATE = b"\x00\x00"
_MAX_REASON = 500


class _Pending(Exception):
    """The library kept a part of an update back, or lost it."""


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
        self._documents: dict[int, _Document] = {}

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
        except _Pending as exc:
            del self._documents[request.document]  # Rule 2
            return Refused(MALFORMED, str(exc))
        except BaseException as exc:  # a panic of the library's Rust is no Exception
            del self._documents[request.document]  # Rule 2
            return Panicked(_reason(exc))

    def _ask(self, document: "_Document", request: Apply | Diff | Snapshot | Read | Put | Patch) -> Reply:
        match request:
            case Apply(update=update):
                examined = document.examine(update)  # Rule 1
                if document.reach.lacks(examined.content):
                    return Refused(MISSING, "it builds on updates that are not here", document.reach.state_vector())
                return document.apply(update, examined)
            case Diff(state_vector=state_vector):
                decode_state_vector(state_vector)
                return Encoded(document.copy.diff(state_vector))
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

    def _load(self, rows: Sequence[bytes]) -> "_Document | BadRow":
        """Of the rows the first is the snapshot."""
        document = _Document(self._library, self._shared, self._new_client)
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

    def _proven(self, document: "_Document") -> bytes:
        """The whole document, known to load again as the same."""
        everything = document.copy.diff(EMPTY_STATE_VECTOR)
        snapshot = without_deleted(everything, document.examine(everything).content)
        again = _Document(self._library, self._shared, self._new_client)
        again.load(snapshot)
        if not again.reach.equals(document.reach):
            raise RuntimeError("the snapshot holds something else than the document")
        return snapshot


class _Document:
    """A copy in the library's memory, and what it has."""

    def __init__(self, library: Library, shared: Shared, new_client: Callable[[], int]) -> None:
        self._library = library
        self._shared = shared
        self._new_client = new_client
        self.copy: Copy = library.new_copy(new_client())
        self.reach = Reach()
        self._gc: dict[int, Ranges] = {}
        self._opened: dict[str, str] = {}

    def load(self, row: bytes) -> None:
        """Applies a row of the log, unless it builds on a row that was lost.

        Raises:
            MalformedUpdate, _Pending: if it cannot be held.
        """
        if row:
            examined = self.examine(row)
            if not self.reach.lacks(examined.content):
                self.apply(row, examined)

    def examine(self, update: bytes) -> Examined:
        return examine(update, subdocuments=self._library.holds_subdocuments)

    def apply(self, update: bytes, examined: Examined) -> Merged:
        content = examined.content
        if self.reach.covers(content):
            return _NOTHING
        rewritten = harmless(update, examined, self.reach, self._gc)  # Rule 4
        try:
            news = self.copy.apply(rewritten)
        except ValueError as exc:
            raise MalformedUpdate(f"the engine cannot read the update: {exc}") from exc
        merged = self._absorb(news, examined if news == update else None)
        if not self.reach.covers(content):
            raise _Pending("the structs of the update refer to each other in a circle")
        return merged

    def _absorb(self, news: bytes, examined: Examined | None) -> Merged:
        if news == _EMPTY_UPDATE:
            return _NOTHING
        if examined is None:
            examined = self.examine(news)
        content = examined.content
        self.reach.absorb(content)
        for client, ranges in examined.gc.items():
            self._gc.setdefault(client, Ranges()).add_all(ranges)
        return Merged(
            news,
            dict(content.starts),
            dict(content.ends),
            dict(content.needs),
            {client: list(ranges) for client, ranges in content.deletes.items()},
            dict(content.roots),
        )

    def read(self, roots: dict[str, str]) -> Viewed:
        kinds = dict(self.reach.roots)
        for name, kind in roots.items():
            kinds[name] = surer_kind(kind, kinds.get(name, kind))
        kinds.setdefault(ROOT, "map")
        self._settle(kinds)
        views = {
            name: view(self.copy.root(name, kind), self._shared)
            for name, kind in kinds.items()
            if kind != "unknown"  # all that it held is deleted
        }
        data = views.pop(ROOT) if kinds[ROOT] == "map" else {}
        return Viewed(data, views)

    def change(self, plan: Callable[[object], list[Change]]) -> Merged:
        kind = self.reach.roots.get(ROOT, "map")
        if kind not in ("map", "unknown"):
            raise InvalidEdit(f"the root {ROOT!r} of this document is a shared {kind}, not a map: edit it as that")
        self._settle({ROOT: "map"})
        changes = plan(self.copy.root(ROOT, "map"))
        if not changes:
            return _NOTHING
        return self._absorb(self.copy.change(ROOT, changes), None)

    def _settle(self, kinds: dict[str, str]) -> None:
        """Rule 3: makes sure that none of these roots was opened as another kind."""
        if any(self._opened.get(name, kind) != kind for name, kind in kinds.items()):
            everything = self.copy.diff(EMPTY_STATE_VECTOR)
            self.copy = self._library.new_copy(self._new_client())
            self.copy.apply(harmless(everything, self.examine(everything), Reach(), {}))
            self._opened.clear()
        self._opened.update(kinds)


def _reason(exc: BaseException) -> str:
    if isinstance(exc, MemoryError | KeyboardInterrupt | SystemExit):
        raise exc
    return f"{type(exc).__name__}: {exc}"[:_MAX_REASON]
