"""Named checks and their report."""

from dataclasses import dataclass

import pytest

from peatd.discovery.events import DiscoveryStatus
from peatd.readiness import NOT_ADDED, OWN_CHECKS, Check, Readiness


@dataclass
class _Broken:
    @property
    def ready(self) -> bool:
        raise OSError("gone")


def _ready_node() -> Readiness:
    readiness = Readiness()
    for name in reversed(OWN_CHECKS):
        readiness.add(name, lambda: None)
    return readiness


def test_a_node_that_starts_is_not_ready_and_lists_its_own_checks():
    report = Readiness().report()
    assert not report.ready
    assert report.checks == tuple(Check(name, ready=False, message=NOT_ADDED) for name in OWN_CHECKS)


def test_a_node_is_ready_when_every_check_is():
    report = _ready_node().report()
    assert report.ready
    assert tuple(check.name for check in report.checks) == OWN_CHECKS


def test_added_checks_stand_behind_the_own_ones_in_the_order_of_adding():
    readiness = _ready_node()
    readiness.add("zebra", lambda: None)
    readiness.add("model", lambda: "the model is still loading")
    report = readiness.report()
    assert [check.name for check in report.checks[len(OWN_CHECKS) :]] == ["zebra", "model"]
    assert not report.ready
    assert report.checks[-1] == Check("model", ready=False, message="the model is still loading")


def test_a_status_can_be_ready_with_a_remark():
    readiness = _ready_node()
    readiness.add("list", lambda: DiscoveryStatus(ready=True, message="stale for 40 s"))
    assert readiness.report().ready
    assert readiness.report().checks[-1].message == "stale for 40 s"


def test_a_check_that_raises_is_not_ready_and_says_why():
    def fails() -> None:
        raise OSError("no route to host")

    def fails_without_a_word() -> None:
        raise ValueError

    readiness = _ready_node()
    readiness.add("first", fails)
    readiness.add("second", fails_without_a_word)
    readiness.add("third", _Broken)
    first, second, third = readiness.report().checks[-3:]
    assert (first.ready, first.message) == (False, "no route to host")
    assert (second.ready, second.message) == (False, "ValueError")
    assert (third.ready, third.message) == (False, "gone")


@pytest.mark.parametrize("name", ["", "store", "mine"])
def test_a_name_is_used_once(name):
    readiness = _ready_node()
    readiness.add("mine", lambda: None)
    with pytest.raises(ValueError, match="name of its own"):
        readiness.add(name, lambda: None)


def test_a_report_is_of_the_moment():
    stuck = ["disk full"]
    readiness = _ready_node()
    readiness.add("mine", lambda: stuck[0] if stuck else None)
    assert not readiness.report().ready
    stuck.clear()
    assert readiness.report().ready
