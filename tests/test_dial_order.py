"""In which order a peer's addresses are tried."""

from peatd.dial_order import dial_order
from peatd.names import Address

FOUR, FOUR_B, NAME = (Address(host, 11204) for host in ("192.0.2.1", "192.0.2.2", "bob.example"))
SIX, SIX_B = (Address(host, 11204) for host in ("2001:db8::1", "2001:db8::2"))


def test_families_take_turns_ipv6_first() -> None:
    assert dial_order([FOUR, FOUR_B, SIX, NAME, SIX_B], None) == [SIX, FOUR, SIX_B, FOUR_B, NAME]


def test_the_last_good_one_is_first() -> None:
    assert dial_order([FOUR, SIX, FOUR_B], FOUR_B) == [FOUR_B, SIX, FOUR]


def test_what_is_no_address_of_it_any_more_is_not_tried() -> None:
    assert dial_order([FOUR], SIX) == [FOUR]
    assert dial_order([], SIX) == []


def test_each_is_tried_once() -> None:
    assert dial_order([FOUR, SIX, FOUR], SIX) == [SIX, FOUR]
