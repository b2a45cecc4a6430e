"""A text on a terminal that is replaced in place."""

from cli.screen import frame


def visible(written: str) -> list[str]:
    """The lines of a frame, without what steers the terminal."""
    assert written.startswith("\x1b[H")
    assert written.endswith("\x1b[J")
    return [line.removesuffix("\x1b[K") for line in written[3:-3].split("\r\n")[:-1]]


def test_a_frame_starts_at_home_and_clears_what_it_does_not_cover() -> None:
    assert visible(frame("a\nb\n", 24)) == ["a", "b"]
    assert visible(frame("", 24)) == []


def test_what_is_higher_than_the_window_is_cut_and_said_to_be() -> None:
    text = "".join(f"{number}\n" for number in range(30))
    assert visible(frame(text, 10)) == [*map(str, range(8)), "… 22 more lines: make the window higher"]
    assert visible(frame(text, 31)) == list(map(str, range(30)))
    assert len(visible(frame(text, 1))) == 1
