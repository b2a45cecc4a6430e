"""What a relay is called, and what is no relay's name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.names import Address
from peatd.relay_url import RelayUrl


@pytest.mark.parametrize(
    ("text", "scheme", "address", "path"),
    [
        ("https://relay.example.org", "https", Address("relay.example.org", 443), "/relay"),
        ("https://relay.example.org:8443/a/b", "https", Address("relay.example.org", 8443), "/a/b"),
        ("http://10.0.0.1/", "http", Address("10.0.0.1", 80), "/relay"),
        ("tcp://[fd00::1]:7000", "tcp", Address("fd00::1", 7000), "/relay"),
        ("TCP://Host:1", "tcp", Address("host", 1), "/relay"),
    ],
)
def test_a_url_says_how_and_where(text: str, scheme: str, address: Address, path: str) -> None:
    url = RelayUrl.parse(text)
    assert (url.scheme, url.address, url.path, str(url)) == (scheme, address, path, text)


@given(text=st.text() | st.from_regex(r"(tcp|https?)://.*", fullmatch=True))
def test_whatever_the_text_it_is_a_url_or_a_value_error(text: str) -> None:
    try:
        url = RelayUrl.parse(text)
    except ValueError:
        return
    assert RelayUrl.parse(str(url)) == url
