"""The keys of the configuration that the media library needs."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final

from msgspec import Meta, Struct

_NAME: Final = re.compile(r"(?=.*[a-zA-Z])[a-zA-Z0-9_-]{1,63}(\.[a-zA-Z0-9_-]{1,63})*\.?\Z")
PullHost = Annotated[str, Meta(min_length=1, max_length=253, description="a host name, an address or a network")]


class MediaConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To what every file is brought, what is taken, and from where; see docs for each bound."""

    loudness_lufs: Annotated[float, Meta(ge=-40, le=-10)] = -20.0
    bitrate_bps: Annotated[int, Meta(ge=16_000, le=128_000)] = 64_000
    minutes_max: Annotated[int, Meta(ge=1, le=120)] = 60
    removed_days: Annotated[int, Meta(ge=0, le=3_650)] = 30
    free_bytes_min: Annotated[int, Meta(ge=0)] = 1024**3
    pull_hosts: Annotated[tuple[PullHost, ...], Meta(max_length=64)] = ()

    def __post_init__(self) -> None:
        """Refuse what is neither a name nor an address nor a network: it would silently allow nothing."""
        for host in self.pull_hosts:
            if not _is_host(host):
                raise ValueError(
                    f"{host!r} is no host name, address or network; write nas.xa.local, 192.168.10.5 or 192.168.10.0/24"
                )


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return bool(_NAME.match(text))
    return True
