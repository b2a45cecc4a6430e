"""How long a link gathers: nothing for a few people, and never longer than eyes can tell."""

import pytest

from peatd.names import DocumentName
from peatd.pace import LONGEST, pause_after
from peatd.wire.messages import Durable, Equal, Message, Presence, Updates

NOTES = DocumentName("notes/today")
CHANGED = Updates(NOTES, 1, 7, 0, [b"\x00\x00"])
MOVED = Presence(NOTES, [])


@pytest.mark.parametrize(
    ("batch", "clients", "pause"),
    [
        ([CHANGED], 0, 0.0),
        ([CHANGED], 2, 0.0),
        ([CHANGED], 50, LONGEST / 2),
        ([CHANGED], 5000, LONGEST),
        ([MOVED], 100, LONGEST),
        ([Equal(), CHANGED], 100, LONGEST),
        ([Durable([])], 100, 0.0),
        ([], 100, 0.0),
    ],
)
def test_a_link_gathers_longer_the_more_clients_are_at_what_changed(
    batch: list[Message], clients: int, pause: float
) -> None:
    assert pause_after(batch, {NOTES: clients}) == pytest.approx(pause)


def test_a_crowd_elsewhere_does_not_slow_this_document_down() -> None:
    assert pause_after([CHANGED], {DocumentName("notes/other"): 1000}) == 0.0
