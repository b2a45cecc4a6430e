"""A document's content in order, made of its updates: the integration of Yjs (`Item.integrate`, "YATA"). Sans-IO.

The CRDT libraries hold the documents; but what they tell of one differs, cannot always be asked for (y-py knows no
formats of XML), kills them when it is hostile, and y-py never frees a document that was asked. So JSON is read from
here, and edits of it are planned here: the same whatever the library, and the same as Yjs.

What makes no sense, because a hostile program wrote it, has no place in the tree, and harms nothing else in it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from peatd.engine.items import XML_ELEMENT, XML_HOOK, Branch, Id, Item, Items
from peatd.engine.values import SUBDOCUMENT, read_any, read_json_value
from peatd.errors import InvalidEdit
from peatd.lib0 import read_bytes, read_string, read_uint
from peatd.structs import ANY, BINARY, CONTENT, DOC, EMBED, FORMAT, GC, JSON, STRING, TYPE, Struct, block_structs
from peatd.update import Examined

_MAX_STRUCTS = 1_000_000
"""Our choice: 250 MB of memory, and twenty times what a book's text is in after years of work."""


class Tree:
    """The content of one document.

    Attributes:
        roots: by name.
        size_bytes: of the updates that it is made of.
    """

    def __init__(self) -> None:
        self.roots: dict[str, Branch] = {}
        self.size_bytes = 0
        self._structs = 0
        self._items = Items()
        self._branches: dict[Id, Branch] = {}

    def __del__(self) -> None:
        # Items refer to each other. The cyclic collector would free them, but it seldom runs where little else is made.
        self._items.unlink()
        for branch in self._branches.values():
            branch.item = None

    def root(self, name: str) -> Branch:
        if name not in self.roots:
            self.roots[name] = Branch(None, name)
        return self.roots[name]

    def integrate(self, update: bytes, examined: Examined) -> None:
        """Takes in a well-formed update that builds on nothing but itself and what is here.

        Raises:
            InvalidEdit: if there are too many parts.
        """
        self.size_bytes += len(update)
        self._structs += sum(block.structs for block in examined.blocks)
        if self._structs > _MAX_STRUCTS:
            raise InvalidEdit(f"the document is in {self._structs} pieces: JSON has a limit of {_MAX_STRUCTS}")
        blocks = {block.client: block_structs(update, block) for block in examined.blocks}
        waiting: dict[int, Struct] = {}
        for client in list(blocks):
            if client in blocks:
                self._integrate_client(update, client, blocks, waiting)
        for client, ranges in examined.content.deletes.items():
            for clock, length in ranges:
                for item in self._items.between(client, clock, clock + length):
                    item.is_deleted = True

    def _integrate_client(
        self, update: bytes, client: int, blocks: dict[int, Iterator[Struct]], waiting: dict[int, Struct]
    ) -> None:
        """The structs of a client, each after what it builds on. `blocks`: those that have more, `waiting`: the next of
        those that were begun."""
        path = [client]
        while path:
            client = path[-1]
            struct = waiting.pop(client, None) or next(blocks[client], None)
            if struct is None:
                del blocks[path.pop()]
                continue
            missing = self._missing(struct)
            if missing is not None and missing in blocks and missing not in path:
                waiting[client] = struct
                path.append(missing)
            else:  # or it is in a circle, or builds on nothing: then it gets no place
                self._place(update, struct)
                if len(path) > 1:
                    path.pop()  # to what waited for it: more of this client may have to wait for that

    def _missing(self, struct: Struct) -> int | None:
        """The client that has to come first."""
        needed = [*struct.origins, struct.parent] if struct.parent else struct.origins
        for client, clock in needed:
            if client != struct.client and clock >= self._items.clock(client):
                return client
        return None

    def _place(self, update: bytes, struct: Struct) -> None:
        here = self._items.clock(struct.client)
        if struct.clock + struct.length <= here:
            return
        item = Item(struct.client, struct.clock, struct.length, struct.info & CONTENT, _content(update, struct))
        origins = iter(struct.origins)
        item.origin = next(origins) if struct.has_origin else None
        item.right_origin = next(origins, None)
        self._find_parent(item, struct)
        if struct.clock < here:
            item = item.cut(here - struct.clock)
            if not self._has_place(item.origin):
                item.parent = None
        if item.parent is None:
            item.ref, item.content, item.is_deleted = GC, None, True
        else:
            self._insert(item, item.parent)
        self._items.append(item)

    def _find_parent(self, item: Item, struct: Struct) -> None:
        """Its parent, and the key that it is the value of; none where it cannot have a place."""
        if struct.root is not None:
            item.parent, item.key = self.root(struct.root), struct.key
        elif struct.parent is not None:
            item.parent, item.key = self._branches.get(struct.parent), struct.key
        elif struct.origins:
            beside = self._items.at(struct.origins[0])
            if beside is not None and all(map(self._has_place, struct.origins)):
                item.parent, item.key = beside.parent, beside.key

    def _has_place(self, at: Id | None) -> bool:
        item = None if at is None else self._items.at(at)
        return item is not None and item.parent is not None

    def _insert(self, item: Item, parent: Branch) -> None:
        left = self._items.ending_with(item.origin) if item.origin else None
        right = self._items.beginning_with(item.right_origin) if item.right_origin else None
        if left is not None:
            if left.right is not right:
                left = self._behind_conflicts(item, left, left.right, right)
        elif right is None or right.left is not None:
            left = self._behind_conflicts(item, None, _first(parent, item.key), right)
        item.left = left
        if left is not None:
            item.right, left.right = left.right, item
        else:
            item.right = _first(parent, item.key)
            if item.key is None:
                parent.start = item
        if item.right is not None:
            item.right.left = item
            item.is_deleted |= item.key is not None
        elif item.key is not None:
            parent.entries[item.key] = item
            if item.left is not None:
                item.left.is_deleted = True
        if item.ref == TYPE:
            item.content[0].item = item
            self._branches[item.id] = item.content[0]

    def _behind_conflicts(self, item: Item, left: Item | None, first: Item | None, right: Item | None) -> Item | None:
        """Of the items that were inserted at the same place, the one that it stands behind. The rule is Yjs' own."""
        conflicting: set[int] = set()
        before_origin: set[int] = set()
        other = first
        while other is not None and other is not right:
            before_origin.add(id(other))
            conflicting.add(id(other))
            if other.origin == item.origin:
                if other.client < item.client:
                    left = other
                    conflicting.clear()
                elif other.right_origin == item.right_origin:
                    break
            elif other.origin is not None and id(origin := self._items.at(other.origin)) in before_origin:
                if id(origin) not in conflicting:
                    left = other
                    conflicting.clear()
            else:
                break
            other = other.right
        return left


def _first(parent: Branch, key: str | None) -> Item | None:
    if key is None:
        return parent.start
    item = parent.entries.get(key)
    while item is not None and item.left is not None:
        item = item.left
    return item


def _content(update: bytes, struct: Struct) -> Any:
    read = _READ.get(struct.info & CONTENT)
    return None if read is None else read(update, struct.content)


def _values(update: bytes, position: int, read: Callable[[bytes, int], tuple[Any, int]]) -> list[Any]:
    count, position = read_uint(update, position)
    values = []
    for _ in range(count):
        value, position = read(update, position)
        values.append(value)
    return values


def _branch(update: bytes, position: int) -> Branch:
    kind = update[position]
    return Branch(kind, read_string(update, position + 1)[0] if kind in (XML_ELEMENT, XML_HOOK) else "")


def _format(update: bytes, position: int) -> tuple[str, Any]:
    key, position = read_string(update, position)
    return key, read_json_value(update, position)[0]


_READ: Mapping[int, Callable[[bytes, int], Any]] = {
    JSON: lambda update, position: _values(update, position, read_json_value),
    BINARY: lambda update, position: [read_bytes(update, position)[0]],
    STRING: lambda update, position: read_string(update, position)[0],
    EMBED: lambda update, position: [read_json_value(update, position)[0]],
    FORMAT: _format,
    TYPE: lambda update, position: [_branch(update, position)],
    ANY: lambda update, position: _values(update, position, read_any),
    DOC: lambda _update, _position: [SUBDOCUMENT],
}
"""What an item's content is; nothing of a GC or a DELETED."""
