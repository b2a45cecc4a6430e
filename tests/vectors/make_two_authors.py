"""Makes two_authors.json.gz: two who type into one text at once, and often do not see each other's words.

A script and not a test: `python tests/vectors/make_two_authors.py`. The text at the end is what y_py and pycrdt both
make of it. The format is described in tests/e2e/traces.py.
"""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pycrdt
import y_py

COUNT = 300
WORDS = ("mesh ", "näher ", "peat\n", "😀", "bog ", "x", "tundra ", "日本 ")

Patch = tuple[int, int, str]


def main() -> None:
    chance = random.Random(20)
    docs = [y_py.YDoc(client_id=1 + agent, offset_kind="utf32") for agent in range(2)]
    heads: list[set[int]] = [set(), set()]
    unheard: list[list[int]] = [[], []]
    updates: list[bytes] = []
    txns: list[dict[str, Any]] = []
    agent = 0
    for index in range(COUNT):
        if chance.random() < 0.3:
            agent = 1 - agent
        for _ in range(chance.randrange(len(unheard[agent]) + 1) if chance.random() < 0.2 else 0):
            other = unheard[agent].pop(0)
            y_py.apply_update(docs[agent], updates[other])
            heads[agent] = (heads[agent] - ancestors(txns, other)) | {other}
        patches = typed(chance, docs[agent])
        txns.append({"parents": sorted(heads[agent]), "numChildren": 0, "agent": agent, "patches": patches})
        for parent in heads[agent]:
            txns[parent]["numChildren"] += 1
        updates.append(make(docs[agent], patches))
        heads[agent] = {index}
        unheard[1 - agent].append(index)
    merged: Any = pycrdt.Doc()
    for update in updates:
        merged.apply_update(update)
    for doc, missed in zip(docs, unheard, strict=True):
        for other in missed:
            y_py.apply_update(doc, updates[other])
    ends = {str(doc.get_text("text")) for doc in docs} | {str(merged.get("text", type=pycrdt.Text))}
    assert len(ends) == 1, ends
    trace = {"kind": "concurrent", "endContent": ends.pop(), "numAgents": 2, "txns": txns}
    packed = gzip.compress(json.dumps(trace, ensure_ascii=False, separators=(",", ":")).encode(), mtime=0)
    Path(__file__).with_name("two_authors.json.gz").write_bytes(packed)


def ancestors(txns: list[dict[str, Any]], index: int) -> set[int]:
    found: set[int] = set()
    waiting = [index]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += txns[one]["parents"]
    return found


def typed(chance: random.Random, doc: y_py.YDoc) -> list[Patch]:
    """One or two edits, mostly near the end, as people do."""
    length = len(str(doc.get_text("text")))
    patches: list[Patch] = []
    for _ in range(chance.choice((1, 1, 1, 2))):
        position = chance.randrange(max(0, length - 12), length + 1)
        deleted = min(chance.choice((0, 0, 0, 1, 3)), length - position)
        inserted = chance.choice(WORDS) if not deleted or chance.random() < 0.3 else ""
        patches.append((position, deleted, inserted))
        length += len(inserted) - deleted
    return patches


def make(doc: y_py.YDoc, patches: list[Patch]) -> bytes:
    text, before = doc.get_text("text"), y_py.encode_state_vector(doc)
    with doc.begin_transaction() as transaction:
        for position, deleted, inserted in patches:
            if deleted:
                text.delete_range(transaction, position, deleted)
            if inserted:
                text.insert(transaction, position, inserted)
    return bytes(y_py.encode_state_as_update(doc, before))


if __name__ == "__main__":
    main()
