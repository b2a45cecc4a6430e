"""What a document reaches by what the store has of it."""

from peatd.reach import Reach
from peatd.store.records import StoredDocument
from peatd.update import check


def opened(stored: StoredDocument) -> Reach:
    """That of its last checkpoint, and of what was recorded since."""
    reach = Reach.decode(stored.reach) if stored.reach else Reach()
    for update in stored.tail:
        content = check(update, subdocuments=True)
        if not reach.lacks(content):  # else it builds on a row that was lost; the engine leaves it out too
            reach.absorb(content)
    return reach
