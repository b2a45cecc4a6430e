"""One document in a CRDT library's memory, and what is known of it. Sans-IO."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain

from peatd.cut import cut
from peatd.engine.draft import Draft
from peatd.engine.items import Branch
from peatd.engine.json_view import is_map, root_view
from peatd.engine.library import Copy, Library
from peatd.engine.places import Types, Values, check_said
from peatd.engine.protocol import Merged, Viewed, viewed
from peatd.engine.tree import Tree
from peatd.errors import InvalidEdit, MalformedUpdate
from peatd.pairs import add_pairs, cut_pairs, may_have_pairs
from peatd.ranges import Ranges
from peatd.rewrite import harmless, with_cut_pairs, with_one_side
from peatd.update import EMPTY_STATE_VECTOR, Examined, Reach, decode_state_vector, encode_state_vector, examine

ROOT = "data"
"""The root map that is the document's JSON."""

NOTHING = Merged(b"", {}, {}, {}, {})
_EMPTY_UPDATE = b"\x00\x00"
_UNSEEN_BYTES = 64 * 1024

AT_ONCE_BYTES = 8 * 1024 * 1024
"""About what a library is given at once; twice that is not cut yet. y-py takes sixteen times as much to read it."""


class Pending(Exception):
    """The library kept a part of an update back, or lost it."""


class Document:
    """A copy, and what it has.

    Invariants:
    1. What the library gets is rewritten where it would corrupt it, or part copies: see `rewrite.py`.
    2. No surrogate pair in the copy is ever cut: one that an update is about to cut is replaced before.
    3. The tree, where there is one, and `_unseen` are together all that the copy has.
    """

    def __init__(self, library: Library, new_client: Callable[[], int], at_once_bytes: int = AT_ONCE_BYTES) -> None:
        self._library = library
        self._at_once_bytes = at_once_bytes
        self._new_client = new_client
        self._client: int | None = None  # who our own edits are by
        self._tree: Tree | None = None
        self._unseen: list[bytes] = []
        self._unseen_bytes = 0
        self.copy: Copy = library.new_copy()
        self.reach = Reach()
        self._gc: dict[int, Ranges] = {}
        self._pairs: dict[int, array[int]] = {}  # client → clocks of the second halves of surrogate pairs
        self._types = Types()
        self._values = Values()
        self._foreseen: Mapping[int, Sequence[int]] = {}  # those that the log is going to cut

    def foresee(self, rows: Sequence[bytes]) -> None:
        """Learns which pairs the rows of a log cut: were each found when it comes, it would take a copy made anew."""
        pairs: dict[int, array[int]] = {}
        cuts: dict[int, array[int]] = {}
        if len(rows) == 1 or not any(map(may_have_pairs, rows)):
            return
        with suppress(MalformedUpdate):  # which is found again when the row is loaded
            for row in filter(None, rows):
                examined = self._examine(row, tells_cuts=True)
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
            for piece in cut(row, self._at_once_bytes):
                examined = self.examine(piece)
                if not self.reach.lacks(examined.content):
                    self._merge(piece, examined, is_new=False)

    def examine(self, update: bytes) -> Examined:
        """Raises: MalformedUpdate."""
        return self._examine(update, tells_cuts=bool(self._pairs) or self._values.may_be_cut)

    def resume(self, client: int, clock: int) -> None:
        """Edits go on as this client, unless some of what it did is not here: an id that is used twice for different
        edits destroys documents for good."""
        if clock and self.reach.clock(client) == clock:
            self._client = client

    def succeed(self, former: "Document", size_bytes: int) -> None:
        """Takes the place of a copy that has the same. Who edits stays: each new client would stay in the state vector.

        Args:
            size_bytes: of the document as it is now; a tree that is mostly of what was deleted is not worth keeping.
        """
        self._client = former._client
        if former._tree is not None and former.tree_bytes + former._unseen_bytes <= 2 * size_bytes:
            self._tree, self._unseen, self._unseen_bytes = former._tree, former._unseen, former._unseen_bytes

    def _examine(self, update: bytes, *, tells_cuts: bool) -> Examined:
        of_library = {"subdocuments": self._library.holds_subdocuments, "hooks": self._library.holds_hooks}
        return examine(update, tells_cuts=tells_cuts, **of_library)

    def apply(self, update: bytes, examined: Examined) -> Merged:
        """Merges an update from elsewhere that lacks nothing; the news. What copies would not agree about is refused.

        Raises:
            MalformedUpdate: if the library cannot decode it, or no Yjs program made it; and nothing was changed.
            Pending: if the copy is in doubt.
        """
        check_said(examined.keyed)
        self._types.check_parents(examined, self.reach)
        self._values.check_cuts(examined.cuts, self.reach)
        return self._merge(update, examined, is_new=True)

    def _merge(self, update: bytes, examined: Examined, *, is_new: bool) -> Merged:
        content = examined.content
        if self.reach.covers(content):
            return NOTHING
        if examined.names_twice:  # Invariant 1
            update = with_one_side(update)
            examined = self.examine(update)
        cut_here = cut_pairs(self._pairs, examined.cuts)
        if cut_here:
            self._make_anew(cut_here)  # Invariant 2
        if examined.pairs:
            update, examined = self._with_pairs_cut(update, examined)
        rewritten = harmless(update, examined, self.reach, self._gc)  # Invariant 1
        try:
            news = self.copy.apply(rewritten)
        except ValueError as exc:
            if cut_here:
                raise Pending(f"the engine cannot read the update: {exc}") from exc
            raise MalformedUpdate(f"the engine cannot read the update: {exc}") from exc
        merged = self._absorb(news, examined if news == update else None, is_new=is_new)
        if cut_here and not self._cuts(news, cut_here):
            raise Pending("the update cuts a surrogate pair in what it does not change")
        if not self.reach.covers(content):
            raise Pending("the structs of the update refer to each other in a circle")
        return merged

    def _cuts(self, news: bytes, pairs: Mapping[int, Sequence[int]]) -> bool:
        """Whether the log, which gets the news, cuts these pairs again when it is replayed; or they are deleted."""
        cuts = self._examine(news, tells_cuts=True).cuts
        for client, halves in pairs.items():
            for half in set(halves).difference(cuts.get(client, ())):
                if not (self.reach.has_deleted(client, half - 1) and self.reach.has_deleted(client, half)):
                    return False
        return True

    def _with_pairs_cut(self, update: bytes, examined: Examined) -> tuple[bytes, Examined]:
        """Invariant 2: the update, with those of its own pairs cut that it cuts itself."""
        cuts = {
            # What is here already of a struct is cut off.
            client: chain(examined.cuts.get(client, ()), self._foreseen.get(client, ()), (self.reach.clock(client),))
            for client in examined.pairs
        }
        if in_update := cut_pairs(examined.pairs, cuts):
            update = with_cut_pairs(update, in_update)
            examined = self.examine(update)
        return update, examined

    def _absorb(self, news: bytes, examined: Examined | None, *, is_new: bool) -> Merged:
        if news == _EMPTY_UPDATE:
            return NOTHING
        if examined is None:
            try:
                examined = self.examine(news)
            except MalformedUpdate as exc:
                raise Pending(f"the engine made something malformed of it: {exc}") from exc
        content = examined.content
        self.reach.absorb(content)
        self._types.add(examined.types)
        if not self._values.take(examined.keyed, self.reach) and is_new:
            raise Pending("the update gives a key more than one value, or none")
        self._note_unseen(news)
        add_pairs(self._pairs, examined.pairs)
        for client, ranges in examined.gc.items():
            self._gc.setdefault(client, Ranges()).add_all(ranges)
        return Merged(
            news,
            dict(content.starts),
            dict(content.ends),
            dict(content.needs),
            {client: list(ranges) for client, ranges in content.deletes.items()},
        )

    def diff(self, state_vector: bytes) -> bytes:
        """An update for whoever has what the state vector says.

        Raises:
            MalformedUpdate: if it is not a state vector.
        """
        clocks = decode_state_vector(state_vector)
        if cut := cut_pairs(self._pairs, {client: (clock,) for client, clock in clocks.items()}):  # Invariant 2
            state_vector = encode_state_vector(clocks | {client: clocks[client] - 1 for client in cut})
        return self.copy.diff(state_vector)

    def read(self) -> Viewed:
        """The document as JSON.

        Raises:
            InvalidEdit: if it is nested too deep, or in too many pieces.
        """
        tree = self._seen()
        data = tree.root(ROOT)
        views = {name: root_view(root) for name, root in tree.roots.items()}
        found = {name: value for name, value in views.items() if value is not None}
        return viewed(found.pop(ROOT) if is_map(data) else {}, found)

    def edit(self, make: Callable[[Draft, Branch], None]) -> Merged:
        """Makes an edit of the root map; the news.

        Raises:
            InvalidEdit: if it cannot be made.
        """
        data = self._seen().root(ROOT)
        if not is_map(data) and root_view(data) is not None:
            raise InvalidEdit(f"the root {ROOT!r} of this document is not a map: edit it as what it is")
        client = self._own_client()
        draft = Draft(client, self.reach.clock(client))
        make(draft, data)
        if draft.is_empty:
            return NOTHING
        update = draft.update()
        return self.apply(update, self.examine(update))

    def _own_client(self) -> int:
        """An id that nobody has used: one that is used twice for different edits destroys documents for good."""
        while self._client is None:
            client = self._new_client()
            if not self.reach.clock(client):
                self._client = client
        return self._client

    @property
    def tree_bytes(self) -> int:
        """How large the updates are that the tree, kept for the next read, is made of."""
        return self._tree.size_bytes if self._tree is not None else 0

    def drop_tree(self) -> None:
        self._tree = None
        self._unseen.clear()
        self._unseen_bytes = 0

    def _note_unseen(self, news: bytes) -> None:
        """Invariant 3. A tree that nobody has asked for while the document doubled is better made anew."""
        if self._tree is not None:
            self._unseen.append(news)
            self._unseen_bytes += len(news)
            if self._unseen_bytes > max(self._tree.size_bytes, _UNSEEN_BYTES):
                self.drop_tree()

    def _seen(self) -> Tree:
        """The content as it is now."""
        if self._tree is None:
            self._tree, self._unseen = Tree(), [self.copy.diff(EMPTY_STATE_VECTOR)]
        unseen, self._unseen, self._unseen_bytes = self._unseen, [], 0
        try:
            for update in unseen:
                self._tree.integrate(update, self.examine(update))
        except MalformedUpdate as exc:
            raise RuntimeError(f"the library encoded something malformed: {exc}") from exc
        except InvalidEdit:
            self.drop_tree()
            raise
        return self._tree

    def _make_anew(self, cut: Mapping[int, Sequence[int]]) -> None:
        """The same copy, with these pairs cut."""
        everything = with_cut_pairs(self.copy.diff(EMPTY_STATE_VECTOR), cut)
        examined = self.examine(everything)
        self.copy = self._library.new_copy()
        self.copy.apply(harmless(everything, examined, Reach(), {}))
        self.drop_tree()
        self._pairs.clear()
        add_pairs(self._pairs, examined.pairs)
