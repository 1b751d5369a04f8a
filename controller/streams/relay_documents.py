"""The signed documents of a relay: its start, which names the key of its packets, and its end.

Start and end stand on one retained topic, so the end replaces the start for whoever comes late.
"""

from __future__ import annotations

from typing import Final

from controller.configuration.site import Site
from controller.documents.notary import CLOCK_TOLERANCE_MS
from controller.records import RelayRecord
from protocol.identity import area_audience
from protocol.messages import StreamEnd, StreamStart
from protocol.topics import TopicName, topic
from protocol.units import Now

START_OUTLIVES_MS: Final = 60_000
"""A start is valid a little past its end, so that a node whose clock is ahead still takes the tail."""
END_STANDS_MS: Final = 300_000
"""How long an end stays on its topic: the session expiry of a node that was away."""


def stream_topic(relay: RelayRecord) -> str:
    """Where a relay's start and end stand."""
    return topic(TopicName.STREAM, area=relay.area, stream=relay.stream)


def start_of(relay: RelayRecord, site: Site, public_key: bytes, counter: int, now: Now) -> StreamStart:
    """What is signed when a relay opens."""
    return StreamStart(
        id=f"start.{relay.stream}",
        issuer=site.controller,
        audience=area_audience(relay.area),
        counter=counter,
        not_before_ms=now.shared_ms - CLOCK_TOLERANCE_MS,
        expires_at_ms=relay.ends_at_ms + START_OUTLIVES_MS,
        broadcast_class=relay.broadcast_class,
        reality=relay.reality,
        stream=relay.stream,
        area=relay.area,
        title=relay.title,
        public_key=public_key,
        starts_at_ms=relay.starts_at_ms,
        ends_at_ms=relay.ends_at_ms,
        stall_ms_max=round(site.relay.stall_s_max * 1000),
        occurrence=relay.occurrence,
        chime_ms=relay.chime_ms if relay.chime_ms < relay.ends_at_ms - relay.starts_at_ms else 0,
        over=relay.over,
        before_upper=relay.before_upper,
    )


def end_of(relay: RelayRecord, site: Site, counter: int, now: Now) -> StreamEnd:
    """What is signed when a relay has ended."""
    return StreamEnd(
        id=f"end.{relay.stream}",
        issuer=site.controller,
        audience=area_audience(relay.area),
        counter=counter,
        not_before_ms=now.shared_ms - CLOCK_TOLERANCE_MS,
        expires_at_ms=now.shared_ms + END_STANDS_MS,
        broadcast_class=relay.broadcast_class,
        reality=relay.reality,
        stream=relay.stream,
        area=relay.area,
        ends_at_ms=relay.ends_at_ms,
        reason=relay.reason[:200],
    )
