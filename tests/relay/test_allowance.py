"""How many bytes a second somebody may send."""

import pytest

from peatd.relay.allowance import Allowance


def test_without_a_rate_nobody_waits() -> None:
    assert Allowance(0, 0.0).spend(10**12, 0.0) == 0.0


def test_a_seconds_worth_may_come_at_once_and_more_has_to_wait() -> None:
    allowance = Allowance(1000, 10.0)
    assert allowance.spend(1000, 10.0) == 0.0
    assert allowance.spend(500, 10.0) == pytest.approx(0.5)
    assert allowance.spend(500, 10.5) == pytest.approx(0.5)


def test_what_was_not_used_for_long_is_gone() -> None:
    allowance = Allowance(1000, 0.0)
    assert allowance.spend(1000, 3600.0) == 0.0
    assert allowance.spend(1000, 3600.0) == pytest.approx(1.0)


def test_over_a_minute_it_is_the_rate() -> None:
    allowance, now, sent = Allowance(1000, 0.0), 0.0, 0
    while now < 60:
        sent += 700
        now += allowance.spend(700, now)
    assert 60_000 <= sent <= 62_000
