"""What of an update can be merged now, where a part of it builds on what is not here. Sans-IO.

A Yjs client keeps back what it has received and cannot place. Asked for all that it has, it tells this too, behind a
Skip struct where it lacks what lies between (Yjs `encodeStateAsUpdateV2`). All else that it tells can be merged.
"""

from collections.abc import Callable, Iterator, Mapping

from peatd.errors import MalformedUpdate
from peatd.lib0 import read_uint, write_uint
from peatd.rewrite import decode_delete_set, encode_delete_set
from peatd.structs import CONTENT, SKIP, Block, Struct, block_structs


def mergeable(update: bytes, clock: Callable[[int], int]) -> bytes:
    """The part of an update that builds on nothing but itself and what is here. What is malformed stays so.

    Args:
        clock: up to which (exclusive) a client's structs are here.

    Raises:
        MalformedUpdate: if it is too malformed to be taken apart.
    """
    try:
        structs, position = _structs(update)
        taken = _taken(structs, clock)
        deletes = _deletes(update, position, {client: found[-1] for client, found in taken.items()}, clock)
    except IndexError as exc:
        raise MalformedUpdate("the update is cut short") from exc
    out = bytearray()
    write_uint(out, len(taken))
    for client, found in taken.items():
        write_uint(out, len(found))
        write_uint(out, client)
        write_uint(out, found[0].clock)
        out += update[found[0].start : found[-1].end]
    return bytes(out) + encode_delete_set(deletes)


def _structs(update: bytes) -> tuple[dict[int, list[Struct]], int]:
    """Of each client those before its first Skip; and where the delete set begins."""
    structs: dict[int, list[Struct]] = {}
    clients, position = read_uint(update, 0)
    for _ in range(clients):
        count, position = read_uint(update, position)
        client, position = read_uint(update, position)
        clock, position = read_uint(update, position)
        found = structs[client] = []
        has_skipped = False
        while count:
            if update[position] & CONTENT == SKIP:
                length, position = read_uint(update, position + 1)
                clock += length
                has_skipped = True
            else:
                (struct,) = block_structs(update, Block(1, client, clock, position))
                clock, position = clock + struct.length, struct.end
                if not has_skipped:
                    found.append(struct)
            count -= 1
    return structs, position


def _taken(structs: Mapping[int, list[Struct]], clock: Callable[[int], int]) -> dict[int, list[Struct]]:
    """Of each client those that can be merged: in turns, until nothing more can be."""
    taken: dict[int, list[Struct]] = {}
    left: dict[int, Iterator[Struct]] = {client: iter(found) for client, found in structs.items()}
    waiting: dict[int, Struct] = {}

    def here(client: int) -> int:
        found = taken.get(client)
        return max(clock(client), found[-1].clock + found[-1].length if found else 0)

    has_moved = True
    while has_moved:
        has_moved = False
        for client, rest in left.items():
            while struct := waiting.pop(client, None) or next(rest, None):
                needed = [(client, struct.clock - 1), *struct.origins, *([struct.parent] if struct.parent else [])]
                if not all(at < here(of) for of, at in needed):
                    waiting[client] = struct
                    break
                taken.setdefault(client, []).append(struct)
                has_moved = True
    return taken


def _deletes(
    update: bytes, position: int, last: Mapping[int, Struct], clock: Callable[[int], int]
) -> dict[int, list[tuple[int, int]]]:
    """Those of what is here then."""
    deletes: dict[int, list[tuple[int, int]]] = {}
    for client, ranges in decode_delete_set(update, position).items():
        end = max(clock(client), last[client].clock + last[client].length if client in last else 0)
        if left := [(at, min(length, end - at)) for at, length in ranges if at < end]:
            deletes[client] = left
    return deletes
