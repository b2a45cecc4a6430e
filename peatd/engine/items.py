"""What a document consists of: items in shared types, as Yjs has them (structs/Item.js, types/). Sans-IO."""

from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import Any

from peatd.structs import DELETED, FORMAT, GC, STRING

Id = tuple[int, int]
"""(client, clock)"""

ARRAY, MAP, TEXT, XML_ELEMENT, XML_FRAGMENT, XML_HOOK, XML_TEXT = range(7)
"""Shared types, by the numbers that updates have for them."""


class Branch:
    """A shared type.

    Attributes:
        kind: one of the numbers above; None of a root, which has whatever kind it is read as.
        name: of a root its name, of an XML element its tag.
        item: that holds it; None of a root.
        start: the first item of its sequence.
        entries: key → the item that is, or was last, its value.
    """

    __slots__ = ("entries", "item", "kind", "name", "start")

    def __init__(self, kind: int | None, name: str = "") -> None:
        self.kind = kind
        self.name = name
        self.item: Item | None = None
        self.start: Item | None = None
        self.entries: dict[str, Item] = {}

    def sequence(self) -> "Iterator[Item]":
        """Its items that are not deleted, in order."""
        item = self.start
        while item is not None:
            if not item.is_deleted:
                yield item
            item = item.right

    def value_of(self, key: str) -> "Item | None":
        """The item that holds a key's value, if it has one."""
        item = self.entries.get(key)
        return None if item is None or item.is_deleted else item


class Item:
    """A struct in its place.

    Attributes:
        ref: its content's number (`structs.CONTENTS`); GC for what has no place.
        content: of a STRING a str, of a FORMAT (key, value), of a DELETED or GC None, else a list of values and
            branches.
        parent: None of a GC.
    """

    __slots__ = (
        "client",
        "clock",
        "content",
        "is_deleted",
        "key",
        "left",
        "length",
        "origin",
        "parent",
        "ref",
        "right",
        "right_origin",
    )

    def __init__(self, client: int, clock: int, length: int, ref: int, content: Any) -> None:
        self.client = client
        self.clock = clock
        self.length = length
        self.ref = ref
        self.content = content
        self.is_deleted = ref in (GC, DELETED)
        self.origin: Id | None = None
        self.right_origin: Id | None = None
        self.left: Item | None = None
        self.right: Item | None = None
        self.parent: Branch | None = None
        self.key: str | None = None

    @property
    def id(self) -> Id:
        return self.client, self.clock

    @property
    def last_id(self) -> Id:
        return self.client, self.clock + self.length - 1

    @property
    def values(self) -> list[Any]:
        """What it adds to a list: nothing of a format; of a text its characters."""
        if self.is_deleted or self.ref == FORMAT:
            return []
        return list(self.content)

    @property
    def value(self) -> Any:
        """What it is as the value of a key: the last that it holds."""
        values = self.values
        return values[-1] if values else None

    def cut(self, offset: int) -> "Item":
        """Cuts off, and returns, what begins `offset` clocks behind its start; not yet in any place."""
        before, after = _cut_content(self.ref, self.content, offset)
        right = Item(self.client, self.clock + offset, self.length - offset, self.ref, after)
        right.is_deleted = self.is_deleted
        right.parent, right.key = self.parent, self.key
        right.origin, right.right_origin = (self.client, self.clock + offset - 1), self.right_origin
        self.length, self.content = offset, before
        return right


def _cut_content(ref: int, content: Any, offset: int) -> tuple[Any, Any]:
    if content is None or ref == FORMAT:
        return content, content
    if ref != STRING or content.isascii():
        return content[:offset], content[offset:]
    units = content.encode("utf-16-le")
    return tuple(part.decode("utf-16-le", "replace") for part in (units[: 2 * offset], units[2 * offset :]))


class Items:
    """All items, by client and clock."""

    def __init__(self) -> None:
        self._clients: dict[int, list[Item]] = {}

    def unlink(self) -> None:
        """They are in no place any more, nor beside each other."""
        for items in self._clients.values():
            for item in items:
                item.left = item.right = item.parent = None

    def clock(self, client: int) -> int:
        """Up to which (exclusive) the client's items are here."""
        items = self._clients.get(client)
        return items[-1].clock + items[-1].length if items else 0

    def append(self, item: Item) -> None:
        """Adds the next of its client."""
        self._clients.setdefault(item.client, []).append(item)

    def at(self, at: Id) -> Item | None:
        """The item with this clock in it."""
        client, clock = at
        items = self._clients.get(client)
        if items is None or clock >= items[-1].clock + items[-1].length:
            return None
        if clock >= items[-1].clock:  # as most are: they are built upon while they are new
            return items[-1]
        return items[bisect_right(items, clock, key=_clock) - 1]

    def ending_with(self, at: Id) -> Item | None:
        """The item whose last clock this is: what follows is cut off."""
        item = self.at(at)
        if item is not None and at[1] + 1 < item.clock + item.length:
            self._split(item, at[1] + 1 - item.clock)
        return item

    def beginning_with(self, at: Id) -> Item | None:
        """The item whose first clock this is: what comes before is cut off."""
        item = self.at(at)
        if item is not None and item.clock < at[1]:
            return self._split(item, at[1] - item.clock)
        return item

    def between(self, client: int, start: int, end: int) -> Iterator[Item]:
        """The items of a range of clocks, cut to it."""
        while start < end and (item := self.beginning_with((client, start))) is not None:
            if item.clock + item.length > end:
                self._split(item, end - item.clock)
            yield item
            start = item.clock + item.length

    def _split(self, item: Item, offset: int) -> Item:
        right = item.cut(offset)
        insort(self._clients[item.client], right, key=_clock)
        if item.parent is not None:
            right.left, right.right = item, item.right
            item.right = right
            if right.right is not None:
                right.right.left = right
            elif right.key is not None:
                item.parent.entries[right.key] = right
        return right


def _clock(item: Item) -> int:
    return item.clock
