"""Who is to hold what."""

from hypothesis import given
from hypothesis import strategies as st

from peatd.interest import ALL, LAST_COPIES, LINGERS, SUBSCRIBED, Copies, Interest, holders, is_among
from peatd.names import DocumentName

NOTES = DocumentName("notes/today")
ALICE, BOB, CAROL = (bytes([number]) * 16 for number in range(3))

members = st.frozensets(st.binary(min_size=16, max_size=16), min_size=1, max_size=12)
names = st.integers(0, 10_000).map(lambda number: DocumentName(f"notes/{number}"))
numbers = st.integers(1, 5)


def interest(copies: Copies, known: frozenset[bytes] | None = frozenset({ALICE, BOB, CAROL})) -> Interest:
    made = Interest({"notes": copies}, ALICE)
    made.members = known
    return made


@given(members, names, numbers)
def test_as_many_hold_a_document_as_there_are_to_be(known: frozenset[bytes], name: DocumentName, number: int) -> None:
    holding = {member for member in known if is_among(member, known, name, number)}
    assert holding == set(holders(known, name, number))
    assert len(holding) == min(number, len(known))


@given(members, names, numbers)
def test_a_member_that_goes_moves_only_what_it_held(known: frozenset[bytes], name: DocumentName, number: int) -> None:
    before = holders(known, name, number)
    for gone in known:
        after = holders(known - {gone}, name, number)
        assert set(before) - {gone} <= set(after)
        assert len(set(after) - set(before)) <= (gone in before)


@given(members, names, numbers)
def test_more_copies_are_with_the_same_members_and_more(
    known: frozenset[bytes], name: DocumentName, number: int
) -> None:
    assert holders(known, name, number + 1)[:number] == holders(known, name, number)


def test_documents_are_spread() -> None:
    known = [bytes([number]) * 16 for number in range(10)]
    held = [sum(is_among(member, known, DocumentName(f"notes/{n}"), 3) for n in range(1000)) for member in known]
    assert sum(held) == 3000
    assert 200 < min(held) <= max(held) < 400


def test_what_no_setting_restricts_is_wanted() -> None:
    assert interest(Copies(1)).is_wanted(DocumentName("other/today"), 0.0) is True


def test_it_is_not_known_before_the_members_are() -> None:
    assert interest(Copies(1), None).is_wanted(NOTES, 0.0) is None
    assert interest(Copies(3)).is_wanted(NOTES, 0.0) is True
    assert interest(Copies(None), None).is_wanted(NOTES, 0.0) is False


def test_who_asks_has_it_for_a_while() -> None:
    made = interest(Copies(None))
    made.asked(NOTES, 10.0)
    assert made.is_wanted(NOTES, 10.0 + LINGERS - 1) is True
    assert made.is_wanted(NOTES, 10.0 + LINGERS) is False


def test_a_pattern_asks_for_the_documents_whose_id_it_matches() -> None:
    made = interest(Copies(None, ("site-7-*", "today")))
    assert made.is_wanted(NOTES, 0.0) is True
    assert made.is_wanted(DocumentName("notes/site-7-pump"), 0.0) is True
    assert made.is_wanted(DocumentName("notes/site-8-pump"), 0.0) is False


def test_the_last_copies_stay_where_nobody_asks() -> None:
    assert interest(Copies(None)).needed(NOTES) == LAST_COPIES
    assert interest(Copies(3)).needed(NOTES) == 3
    assert {ALL, SUBSCRIBED} == {"all", "subscribed"}
