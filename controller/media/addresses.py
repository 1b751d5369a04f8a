"""From where a recording may be pulled: http and https on the Internet, and what the site names inside; pure.

The controller stands in a network that others do not reach: an address that somebody typed must not become a way into
it. So each address that a name stands for is judged, after each redirect anew, and so are those that carry another
one inside them (mapped, 6to4, Teredo, NAT64).
"""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import SplitResult, urlsplit

URL_CHARACTERS_MAX: Final = 2_000
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAT64: Final = ipaddress.ip_network("64:ff9b:1::/48")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ForbiddenAddressError(ValueError):
    """Nothing is pulled from there; the text says why."""


class PullRules:
    """What a site allows inside its own network."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._names: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for host in hosts:
            try:
                self._networks.append(ipaddress.ip_network(host, strict=False))
            except ValueError:
                self._names.add(host.lower().rstrip("."))

    def checked(self, url: str, *, before: str = "") -> SplitResult:
        """The parts of an address that may be asked; `before` led here. Raises ForbiddenAddressError."""
        if len(url) > URL_CHARACTERS_MAX or any(each.isspace() or not each.isprintable() for each in url):
            raise ForbiddenAddressError("đây không phải địa chỉ web · this is no address of the web")
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError as error:
            raise ForbiddenAddressError(f"{url[:100]}: {error}") from error
        if parts.scheme not in {"http", "https"} or not host:
            raise ForbiddenAddressError("chỉ http:// và https:// · only http:// and https:// addresses are pulled")
        if parts.username is not None or parts.password is not None:
            raise ForbiddenAddressError("địa chỉ chứa mật khẩu · a password stands in it, which would be on record")
        if before.startswith("https:") and parts.scheme == "http":
            raise ForbiddenAddressError("chuyển từ https sang http · it leads from https to http")
        literal = _literal(_as_connected(host))
        if literal is not None:
            self.require(host, literal)
        return parts

    def require(self, host: str, address: str) -> None:
        """Raise ForbiddenAddressError unless this address of a host may be asked."""
        if not self.allows(host, address):
            what = f"{host} ({address}) nằm trong mạng nội bộ · is inside a network of its own"
            raise ForbiddenAddressError(f"{what}; media.pull_hosts can name it")

    def allows(self, host: str, address: str) -> bool:
        """Whether an address that a host stands for may be asked."""
        literal = _literal(address)
        if literal is None:
            return False
        if host.lower().rstrip(".") in self._names:
            return True
        found = ipaddress.ip_address(literal)
        if any(found in network for network in self._networks if network.version == found.version):
            return True
        return all(each.is_global and not each.is_multicast and not each.is_reserved for each in _carried(found))


def _carried(address: Address) -> Iterator[Address]:
    """The address, and those inside it."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    if address in _LOCAL_NAT64:
        yield ipaddress.IPv4Address(0)  # stands for whatever a translator of the own network likes
        return
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def _as_connected(host: str) -> str:
    """A host as libraries of the web read it: digits and dots of other scripts are digits and dots."""
    return unicodedata.normalize("NFKC", host).replace("\u3002", ".")


def _literal(host: str) -> str | None:
    """A host that is an address itself, without a zone."""
    plain = host.strip("[]").partition("%")[0]
    try:
        return str(ipaddress.ip_address(plain))
    except ValueError:
        return None
