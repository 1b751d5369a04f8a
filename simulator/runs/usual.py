"""A usual commune as data: villages, poles, a morning and an evening programme, a flood clip, a drill clip, a feed.

For tests and benchmarks, and as the example that scenarios start from. Nothing here is needed to build a province.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from controller.configuration.config import (
    AreaConfig,
    ClipConfig,
    Config,
    ConsoleListenerConfig,
    EmergencyConfig,
    FeedConfig,
    HttpConfig,
    ItemConfig,
    NodeConfig,
    NodesListenerConfig,
    ProgrammeConfig,
    TrustConfig,
)
from controller.keys.key_config import SigningKeyConfig
from protocol.messages import Reality
from simulator.services.media_server import Recording, recording

COMMUNE: Final = "xa-binh-minh"
FLOOD: Final = "flood"
DRILL: Final = "drill"
FEED: Final = "vov1"
FEED_URL: Final = "http://vov.invalid/vov1"
_UNKEYED: Final = "0" * 60
_HEX: Final = "04x"

MEDIA: Final[dict[str, Recording]] = {
    "clips/flood.wav": recording("flood", duration_ms=8_000),
    "clips/drill.wav": recording("drill", duration_ms=6_000),
    "anthem.mp3": recording("anthem", duration_ms=60_000),
    "news.mp3": recording("news", duration_ms=9 * 60_000),
    "evening.mp3": recording("evening", duration_ms=10 * 60_000),
}

TRUST: Final = TrustConfig(
    ca="ca.pem",
    certificate="controller.pem",
    private_key="controller.key",
    keyset="keyset.cose",
    root_keys="root_keys.json",
    signing_keys=(
        SigningKeyConfig(key_id="operations-1", path="operations-1.key"),
        SigningKeyConfig(key_id="drill-1", path="drill-1.key"),
    ),
)
"""Named as a configuration must name them; in a simulated province keys come from the seed."""
HTTP: Final = HttpConfig(
    nodes=NodesListenerConfig(certificate="server.pem", private_key="server.key"),
    console=ConsoleListenerConfig(token_file="api.token"),  # noqa: S106 - a file's name
)

EMERGENCY: Final = EmergencyConfig(chime_ms=0)
"""Without an attention signal, which carries no tag that an ear could read."""

PROGRAMMES: Final = (
    ProgrammeConfig(
        id="morning",
        title="Chương trình buổi sáng",
        area=COMMUNE,
        at="05:30",
        items=(ItemConfig(file="anthem.mp3", title="Nhạc hiệu"), ItemConfig(file="news.mp3", title="Bản tin xã")),
    ),
    ProgrammeConfig(
        id="evening",
        title="Chương trình buổi chiều",
        area=COMMUNE,
        at="17:00",
        items=(ItemConfig(file="anthem.mp3", title="Nhạc hiệu"), ItemConfig(file="evening.mp3", title="Tin chiều")),
    ),
)


def usual_commune(*, poles: int = 4, villages: int = 2, programmes: Sequence[ProgrammeConfig] = PROGRAMMES) -> Config:
    """One commune with so many villages, over which its poles are spread."""
    places = [f"thon-{number}" for number in range(1, villages + 1)]
    return Config(
        controller="controller1",
        trust=TRUST,
        database="sqlite:///controller.sqlite",
        state_dir="state",
        http=HTTP,
        areas=(
            AreaConfig(id=COMMUNE, title="Xã Bình Minh", level="commune"),
            *(AreaConfig(id=place, title=place, level="village", parent=COMMUNE) for place in places),
        ),
        nodes=tuple(
            NodeConfig(
                id=f"N{number:04d}",
                title=f"Cụm loa {number}",
                area=places[(number - 1) % villages],
                report_key=_UNKEYED + format(number, _HEX),
            )
            for number in range(1, poles + 1)
        ),
        feeds=(FeedConfig(id=FEED, title="VOV1", urls=(FEED_URL,)),),
        clips=(
            ClipConfig(id=FLOOD, title="Lũ khẩn cấp", file="clips/flood.wav"),
            ClipConfig(id=DRILL, title="Diễn tập", file="clips/drill.wav", reality=Reality.DRILL),
        ),
        programmes=tuple(programmes),
        emergency=EMERGENCY,
    )
