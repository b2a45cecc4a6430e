"""How old a record is, never more than it is."""

from hypothesis import given
from hypothesis import strategies as st

from peatd.timeline import MAX_AWAY, Timeline, resumed

DAY = 86_400


def test_a_record_is_as_old_as_the_first_mark_after_it() -> None:
    timeline = Timeline()
    assert timeline.age(100, 1) == 0
    timeline.mark(100, 5)
    timeline.mark(160, 9)
    assert [timeline.age(200, seq) for seq in (1, 5, 6, 9, 10)] == [100, 100, 40, 40, 0]


def test_a_year_takes_little_and_is_known_well() -> None:
    timeline = Timeline()
    for minute in range(0, 366 * 24 * 60, 10):
        timeline.mark(60 * minute, minute)
        if minute % 50_000 == 0 and minute > 10_000:
            age = timeline.age(60 * minute, minute - 10_000)
            assert 0.95 * 600_000 < age <= 600_000
    assert len(timeline.marks) < 1000


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 50)), max_size=60), st.integers(0, 10_000))
def test_nothing_is_older_than_it_is(steps: list[tuple[int, int]], later: int) -> None:
    timeline, made, now, seq = Timeline(), {}, 0, 0
    for seconds, records in steps:
        now += seconds
        for _ in range(records):
            seq += 1
            made[seq] = now
        timeline.mark(now, seq)
    now += later
    ages = [timeline.age(now, number) for number in made]
    assert all(age <= now - made[number] for number, age in zip(made, ages, strict=True))
    assert ages == sorted(ages, reverse=True)


def test_the_wall_clock_is_believed_for_a_day() -> None:
    assert resumed(1000, 5000.0, 4000.0) == 2000
    assert resumed(1000, 4000.0, 5000.0) == 1000, "it was turned back"
    assert resumed(1000, 1.7e9, 0.0) == 1000 + MAX_AWAY
    assert MAX_AWAY == DAY
