"""What the API server's answers mean, without an API server."""

import json
from contextlib import suppress

import pytest
from fakes.endpointslices import endpoint_slice, pod
from hypothesis import given
from hypothesis import strategies as st

from peatd.discovery.watch import (
    Cause,
    Ending,
    Nonsense,
    SliceChanged,
    SliceGone,
    SliceUnread,
    WatchEvent,
    WatchFailed,
    pause,
    read_line,
    read_page,
    refusal,
)

ALMOST_ONE = 0.999999


def line(kind: str, item: object) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode()


def versioned(name: str = "mesh") -> dict[str, object]:
    item = endpoint_slice(name, pod("alice", "10.0.0.1"))
    item["metadata"]["resourceVersion"] = "7"
    return item


def test_added_and_modified_say_all_of_a_slice_and_deleted_that_it_is_gone() -> None:
    for kind in ("ADDED", "MODIFIED"):
        event = read_line(line(kind, versioned()), "peat.")
        assert isinstance(event, WatchEvent)
        assert event.resource_version == "7"
        assert isinstance(event.change, SliceChanged)
    assert read_line(line("DELETED", versioned()), "peat.") == WatchEvent(SliceGone("mesh"), "7")


def test_a_bookmark_says_the_resource_version_only() -> None:
    bookmark = {"kind": "EndpointSlice", "metadata": {"resourceVersion": "9", "creationTimestamp": None}}
    assert read_line(line("BOOKMARK", bookmark), "peat.") == WatchEvent(None, "9")


def test_an_unreadable_slice_is_named() -> None:
    event = read_line(line("ADDED", {**versioned(), "ports": 1}), "peat.")
    assert isinstance(event, WatchEvent)
    assert event.change == SliceUnread("mesh", "ports is 1, not a list")


def test_an_error_event_has_the_code_and_ends_the_watch() -> None:
    failed = read_line(line("ERROR", {"kind": "Status", "code": 410, "message": "too old"}), "peat.")
    assert isinstance(failed, WatchFailed)
    ending = refusal("watch", failed.code, failed.body, namespace="peat", retry_after=None, lasted=9)
    assert ending.cause is Cause.EXPIRED
    assert "too old" in ending.message


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["type", "object", "metadata", "items", "name", "resourceVersion", "continue", "code"]),
                inner,
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_the_api_server_sends_is_read_or_nonsense(text: bytes) -> None:
    for read in (read_line, read_page):
        with suppress(Nonsense):
            read(text, "peat.")


def test_nesting_without_end_is_nonsense() -> None:
    with pytest.raises(Nonsense):
        read_page(b"[" * 100_000, "peat.")


def test_a_page_may_have_null_items_and_names_the_next_one() -> None:
    page = read_page(b'{"metadata": {"resourceVersion": "5", "continue": "tok"}, "items": null}', "peat.")
    assert (page.slices, page.resource_version, page.next) == ({}, "5", "tok")
    assert read_page(b'{"metadata": {"resourceVersion": "5", "continue": ""}}', "peat.").next is None


def test_a_watch_that_ended_in_its_time_is_followed_at_once() -> None:
    assert pause(Ending("watch", Cause.DONE, "", lasted=30), 0, ALMOST_ONE) == 0


def test_a_watch_that_ended_at_once_is_not() -> None:
    pauses = [pause(Ending("watch", Cause.DONE, "", lasted=0.5), n, ALMOST_ONE) for n in range(100)]
    assert pauses == sorted(pauses)
    assert 0.4 < pauses[0] < 0.5
    assert 29 < pauses[-1] < 30


def test_the_first_410_lists_again_at_once_and_410_upon_410_waits() -> None:
    expired = Ending("watch", Cause.EXPIRED, "", lasted=0.1)
    assert pause(expired, 0, ALMOST_ONE) == 0
    assert pause(expired, 3, ALMOST_ONE) > 3


def test_backoff_is_full_jitter() -> None:
    failed = Ending("list", Cause.FAILED, "")
    assert pause(failed, 10, 0.0) == 0.0
    assert pause(failed, 10, 0.5) == 15.0


def test_retry_after_is_the_least_and_bounded() -> None:
    assert pause(Ending("list", Cause.FAILED, "", retry_after=7), 0, 0.25) == 7.25
    assert pause(Ending("list", Cause.FAILED, "", retry_after=1e9), 0, 0.25) == 120.25


@pytest.mark.parametrize(
    ("code", "header", "seconds"),
    [
        (429, "3", 3),
        (503, " 3 ", 3),
        (504, "3", 3),
        (500, "3", None),
        (429, None, None),
        (429, "soon", None),
        (429, "-1", None),
        (429, "9" * 400, None),
        (429, "Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_counts_where_it_is_meant(code: int, header: str | None, seconds: float | None) -> None:
    assert refusal("list", code, b"", namespace="peat", retry_after=header, lasted=0).retry_after == seconds


def test_a_403_names_verb_resource_and_namespace() -> None:
    ending = refusal("watch", 403, b"", namespace="peat", retry_after=None, lasted=0)
    assert ending.cause is Cause.FORBIDDEN
    assert ending.message == (
        'not allowed to watch endpointslices.discovery.k8s.io in namespace "peat" (403): the role must give verbs'
        " [list, watch] on resource endpointslices of API group discovery.k8s.io"
    )
    assert not ending.renew
    assert ending.may_resume


def test_a_401_has_the_credentials_read_anew() -> None:
    assert refusal("list", 401, b"", namespace="peat", retry_after=None, lasted=0).renew


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"message": 3}', b'{"message": "etcd is gone"}'])
def test_any_other_status_shows_what_the_server_said_if_it_said_it_well(body: bytes) -> None:
    ending = refusal("list", 500, body, namespace="peat", retry_after=None, lasted=0)
    assert ending.cause is Cause.FAILED
    assert ("etcd is gone" if b"etcd" in body else "refused") in ending.message


def test_only_a_watch_that_missed_nothing_goes_on_where_it_was() -> None:
    resumable = {cause for cause in Cause if Ending("watch", cause, "").may_resume}
    assert resumable == {Cause.DONE, Cause.FORBIDDEN, Cause.FAILED}
    assert not any(Ending("list", cause, "").may_resume for cause in Cause)
