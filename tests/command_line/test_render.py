"""Text for people: readable at any width, and nothing is ever cut off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.render import ago, duration, facts, plain, size, table

PEERS = [("peat-mesh-1", "linked", "-"), ("peat-mesh-2", "lost", "connection refused by 10.0.0.7 after 3 attempts")]
HEADINGS = ("ID", "STATE", "LAST ERROR")


def test_a_table_that_fits() -> None:
    assert table(HEADINGS, PEERS[:1], width=80) == (
        "ID           STATE   LAST ERROR\n"
        "peat-mesh-1  linked  -\n"
    )  # fmt: skip


def test_the_last_column_wraps() -> None:
    assert table(HEADINGS, PEERS, width=50) == (
        "ID           STATE   LAST ERROR\n"
        "peat-mesh-1  linked  -\n"
        "peat-mesh-2  lost    connection refused by\n"
        "                     10.0.0.7 after 3 attempts\n"
    )


def test_without_room_each_row_is_a_list() -> None:
    assert table(HEADINGS, PEERS, width=40) == (
        "ID          peat-mesh-1\n"
        "STATE       linked\n"
        "LAST ERROR  -\n"
        "\n"
        "ID          peat-mesh-2\n"
        "STATE       lost\n"
        "LAST ERROR  connection refused by 10.0.0.7 after 3 attempts\n"
    )


cells = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)


@given(rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5), width=st.integers(1, 120))
def test_nothing_is_cut_off_and_nothing_too_wide_unless_a_value_is(rows: list[tuple[str, ...]], width: int) -> None:
    text = table(HEADINGS, rows, width=width)
    squeezed = "".join(text.split())
    for row in rows:
        for cell in row:
            assert cell in squeezed
    if text.startswith("ID  ") and "STATE  " in text.splitlines()[0]:
        assert all(len(line) <= width for line in text.splitlines())


def test_a_column_is_never_empty() -> None:
    assert table(("A", "B"), [("", "")], width=80).splitlines()[1].split() == ["-", "-"]


@given(text=st.text(max_size=30))
def test_plain_text_is_one_line_that_steers_nothing(text: str) -> None:
    assert plain(text).isprintable()
    assert "\n" not in facts([("name", text)]).removesuffix("\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.00021, "210 us"),
        (0.00123, "1.23 ms"),
        (0.1234, "123 ms"),
        (0.9996, "1 s"),
        (1, "1 s"),
        (59.4, "59 s"),
        (59.6, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (86399, "23 h 59 min"),
        (90000, "1 d 1 h"),
        (10**8, "1157 d 9 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "never"), (0.4, "now"), (3.0, "3 s ago"), (7260, "2 h 1 min ago")]
)
def test_when_something_was(seconds: float | None, text: str) -> None:
    assert ago(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (999_499, "999 kB"), (999_999, "1 MB"), (2 * 10**12, "2000 GB")],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text
