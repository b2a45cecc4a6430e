"""One document in a CRDT library's memory, and what is known of it. Sans-IO."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain

from peatd.engine.json_view import Change, Shared, view
from peatd.engine.library import Copy, Library
from peatd.engine.protocol import Merged, Viewed
from peatd.errors import InvalidEdit, MalformedUpdate
from peatd.pairs import add_pairs, cut_pairs, may_have_pairs
from peatd.ranges import Ranges
from peatd.reach import surer_kind
from peatd.rewrite import harmless, with_cut_pairs
from peatd.update import EMPTY_STATE_VECTOR, Examined, Reach, decode_state_vector, encode_state_vector, examine

ROOT = "data"
"""The root map that is the document's JSON."""

NOTHING = Merged(b"", {}, {}, {}, {}, {})
_EMPTY_UPDATE = b"\x00\x00"


class Pending(Exception):
    """The library kept a part of an update back, or lost it."""


class Document:
    """A copy, and what it has.

    Invariants:
    1. A root is opened as one kind only. When its kind turns out to be another, the copy is made anew first.
    2. What the library gets is rewritten where it would corrupt it: see `rewrite.py`.
    3. No surrogate pair in the copy is ever cut: one that an update is about to cut is replaced before.
    """

    def __init__(self, library: Library, shared: Shared, new_client: Callable[[], int]) -> None:
        self._library = library
        self._shared = shared
        self._new_client = new_client
        self.copy: Copy = library.new_copy(new_client())
        self.reach = Reach()
        self._gc: dict[int, Ranges] = {}
        self._opened: dict[str, str] = {}
        self._pairs: dict[int, array[int]] = {}  # client → clocks of the second halves of surrogate pairs
        self._foreseen: Mapping[int, Sequence[int]] = {}  # those that the log is going to cut

    def foresee(self, rows: Sequence[bytes]) -> None:
        """Learns which pairs the rows of a log cut: were each found when it comes, it would take a copy made anew."""
        pairs: dict[int, array[int]] = {}
        cuts: dict[int, array[int]] = {}
        if len(rows) == 1 or not any(map(may_have_pairs, rows)):
            return
        with suppress(MalformedUpdate):  # which is found again when the row is loaded
            for row in filter(None, rows):
                examined = examine(row, subdocuments=self._library.holds_subdocuments, has_pairs=True)
                add_pairs(pairs, examined.pairs)
                for client, clocks in examined.cuts.items():
                    cuts.setdefault(client, array("Q")).extend(clocks)
        self._foreseen = cut_pairs(pairs, cuts)

    def load(self, row: bytes) -> None:
        """Applies a row of the log, unless it builds on a row that was lost.

        Raises:
            MalformedUpdate, Pending: if it cannot be held.
        """
        if row:
            examined = self.examine(row)
            if not self.reach.lacks(examined.content):
                self.apply(row, examined)

    def examine(self, update: bytes) -> Examined:
        """Raises: MalformedUpdate."""
        return examine(update, subdocuments=self._library.holds_subdocuments, has_pairs=bool(self._pairs))

    def apply(self, update: bytes, examined: Examined) -> Merged:
        """Merges an update that lacks nothing; the news.

        Raises:
            MalformedUpdate: if the library cannot decode it, and nothing was changed.
            Pending: if the copy is in doubt.
        """
        content = examined.content
        if self.reach.covers(content):
            return NOTHING
        if examined.cuts or examined.pairs:
            update, examined = self._with_pairs_cut(update, examined)
        rewritten = harmless(update, examined, self.reach, self._gc)  # Invariant 2
        try:
            news = self.copy.apply(rewritten)
        except ValueError as exc:
            raise MalformedUpdate(f"the engine cannot read the update: {exc}") from exc
        merged = self._absorb(news, examined if news == update else None)
        if not self.reach.covers(content):
            raise Pending("the structs of the update refer to each other in a circle")
        return merged

    def _with_pairs_cut(self, update: bytes, examined: Examined) -> tuple[bytes, Examined]:
        """Invariant 3: cuts the pairs of the copy that the update cuts; and the update with those of its own cut."""
        if in_copy := cut_pairs(self._pairs, examined.cuts):
            self._make_anew(in_copy)
        cuts = {
            # What is here already of a struct is cut off.
            client: chain(examined.cuts.get(client, ()), self._foreseen.get(client, ()), (self.reach.clock(client),))
            for client in examined.pairs
        }
        if in_update := cut_pairs(examined.pairs, cuts):
            update = with_cut_pairs(update, in_update)
            examined = self.examine(update)
        return update, examined

    def _absorb(self, news: bytes, examined: Examined | None) -> Merged:
        if news == _EMPTY_UPDATE:
            return NOTHING
        if examined is None:
            try:
                examined = self.examine(news)
            except MalformedUpdate as exc:
                raise Pending(f"the engine made something malformed of it: {exc}") from exc
        content = examined.content
        self.reach.absorb(content)
        add_pairs(self._pairs, examined.pairs)
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

    def diff(self, state_vector: bytes) -> bytes:
        """An update for whoever has what the state vector says.

        Raises:
            MalformedUpdate: if it is not a state vector.
        """
        clocks = decode_state_vector(state_vector)
        if cut := cut_pairs(self._pairs, {client: (clock,) for client, clock in clocks.items()}):  # Invariant 3
            state_vector = encode_state_vector(clocks | {client: clocks[client] - 1 for client in cut})
        return self.copy.diff(state_vector)

    def read(self, roots: dict[str, str]) -> Viewed:
        """The document as JSON; `roots` adds to the kinds that are known.

        Raises:
            InvalidEdit: if it is nested too deep.
        """
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
        """Makes the changes that are planned for what the root map is now; the news.

        Raises:
            InvalidEdit: if they cannot be made.
        """
        kind = self.reach.roots.get(ROOT, "map")
        if kind not in ("map", "unknown"):
            raise InvalidEdit(f"the root {ROOT!r} of this document is a shared {kind}, not a map: edit it as that")
        self._settle({ROOT: "map"})
        changes = plan(self.copy.root(ROOT, "map"))
        if not changes:
            return NOTHING
        return self._absorb(self.copy.change(ROOT, changes), None)

    def _settle(self, kinds: dict[str, str]) -> None:
        """Invariant 1: makes sure that none of these roots was opened as another kind."""
        if any(self._opened.get(name, kind) != kind for name, kind in kinds.items()):
            self._make_anew({})
        self._opened.update(kinds)

    def _make_anew(self, cut: Mapping[int, Sequence[int]]) -> None:
        """The same copy, with no root opened and these pairs cut."""
        everything = self.copy.diff(EMPTY_STATE_VECTOR)
        if cut:
            everything = with_cut_pairs(everything, cut)
        examined = self.examine(everything)
        self.copy = self._library.new_copy(self._new_client())
        self.copy.apply(harmless(everything, examined, Reach(), {}))
        self._opened.clear()
        self._pairs.clear()
        add_pairs(self._pairs, examined.pairs)
