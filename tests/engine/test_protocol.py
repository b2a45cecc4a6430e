"""What the node believes of what its engine says."""

import pytest

from peatd.engine.protocol import Frames, Garbled, Viewed, decode_replies, frame, viewed


def test_a_view_is_read_as_it_was_made() -> None:
    made = viewed({"b": [1, "é"], "a": None}, {"text": "x"})
    assert made == viewed({"a": None, "b": [1, "é"]}, {"text": "x"})
    assert (made.document, made.roots) == ({"a": None, "b": [1, "é"]}, {"text": "x"})
    assert list(decode_replies(Frames().receive(frame(made)))) == [made]


@pytest.mark.parametrize("text", [b"", b"{", b'{"a":}', b"{}{}", b'{"a":nan}'])
def test_what_is_no_json_is_not_passed_on(text: bytes) -> None:
    for reply in (Viewed(text, b"{}"), Viewed(b"{}", text)):
        with pytest.raises(Garbled):
            list(decode_replies(Frames().receive(frame(reply))))
