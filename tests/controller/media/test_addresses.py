"""What may be pulled: the Internet, and inside only what the site names; disguises included."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.media.addresses import ForbiddenAddressError, PullRules

INSIDE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.10",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - nothing listens here
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::808:808",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "fe80::1%eth0",
    "not an address",
]
OUTSIDE = ["8.8.8.8", "203.162.4.190", "2400:cb00::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", INSIDE)
def test_nothing_inside_is_asked(address: str) -> None:
    assert not PullRules().allows("example.com", address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_the_internet_may_be_asked(address: str) -> None:
    assert PullRules().allows("example.com", address)


@given(address=st.ip_addresses())
def test_no_private_address_in_any_disguise(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if PullRules().allows("example.com", str(address)):
        assert address.is_global
        mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
        assert mapped is None or mapped.is_global


def test_what_the_site_names_may_be_asked() -> None:
    rules = PullRules(["nas.xa.local", "192.168.10.0/24", "fd00::/8"])
    assert rules.allows("NAS.xa.local.", "10.0.0.5")
    assert rules.allows("anything", "192.168.10.77")
    assert rules.allows("anything", "fd00::5")
    assert not rules.allows("anything", "192.168.11.1")
    assert not rules.allows("nas.xa.local.example.com", "10.0.0.5")
    assert rules.checked("http://192.168.10.77/a.mp3").hostname == "192.168.10.77"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://example.com/",
        "http:///a.mp3",
        "//example.com/a.mp3",
        "http://example.com/a b",
        "http://example.com/\n",
        "http://[::1]/a.mp3",
        "http://[::ffff:127.0.0.1]/",
        "http://127.0.0.1:8080/",
        "https://lan:secret@example.com/",
        "http://example.com:99999/",
        "http://[bad/",
        "https://example.com/" + "a" * 2_000,
    ],
)
def test_an_address_that_may_not_be_asked_is_told(url: str) -> None:
    with pytest.raises(ForbiddenAddressError) as refused:
        PullRules().checked(url)
    assert "secret" not in str(refused.value)


@given(st.text(max_size=200))
def test_any_text_is_an_answer_and_no_accident(text: str) -> None:
    try:
        parts = PullRules().checked(text)
    except ForbiddenAddressError:
        return
    assert parts.scheme in {"http", "https"}
    assert parts.hostname


def test_https_is_not_left_on_the_way() -> None:
    rules = PullRules()
    assert rules.checked("http://example.com/b", before="http://example.com/a")
    assert rules.checked("https://example.com/b", before="http://example.com/a")
    with pytest.raises(ForbiddenAddressError, match="https"):
        rules.checked("http://example.com/b", before="https://example.com/a")
