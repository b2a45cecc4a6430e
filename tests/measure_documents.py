"""Measures `peatd.documents` on this machine: `python tests/measure_documents.py [y-py|pycrdt]`. Not a test."""

import sys
import time

import trio
import y_py
from fakes.log import MemoryLog

from peatd.documents import Documents
from peatd.names import DocumentKey

KEY = DocumentKey("measured/a", 1)
UPDATES = 40_000
ROUND_TRIPS = 2_000


def keystrokes(count: int) -> list[bytes]:
    doc, updates = y_py.YDoc(1), []
    text = doc.get_text("text")
    subscription = doc.observe_after_transaction(lambda event: updates.append(bytes(event.get_update())))
    for _ in range(count):
        with doc.begin_transaction() as transaction:
            text.insert(transaction, 0, "a")
    del subscription
    return updates


async def applies_per_second(documents: Documents, log: MemoryLog, updates: list[bytes]) -> float:
    left, done = len(updates), trio.Event()

    def then(news):
        nonlocal left
        log.record(KEY, news.update)
        left -= 1
        if not left:
            done.set()

    started = time.perf_counter()
    for update in updates:
        documents.submit(KEY, update, origin="measure", then=then, failed=print)
        await documents.room(KEY.name)
    await done.wait()
    return len(updates) / (time.perf_counter() - started)


async def main(engine: str) -> None:
    log = MemoryLog()
    documents = Documents(log, engine=engine)
    async with trio.open_nursery() as nursery:
        await nursery.start(documents.run)
        print(f"{await applies_per_second(documents, log, keystrokes(UPDATES)):,.0f} small applies a second")
        took = []
        for _ in range(ROUND_TRIPS):
            started = time.perf_counter()
            await documents.diff(DocumentKey("measured/b", 1), b"\x00", bytes)
            took.append((time.perf_counter() - started) * 1e6)
        took.sort()
        median, tail, worst = took[len(took) // 2], took[-len(took) // 100], took[-1]
        print(f"round trip: median {median:.0f} µs, 99 % {tail:.0f} µs, worst {worst:.0f} µs")
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "y-py")
