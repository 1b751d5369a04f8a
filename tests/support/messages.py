"""Valid messages for tests: plain examples, and hypothesis strategies that fill every schema within its bounds."""

from __future__ import annotations

from hypothesis import strategies as st

from protocol.identity import area_audience, node_audience
from protocol.messages import (
    Acknowledgement,
    AiringRecord,
    AiringState,
    AllClear,
    AnyDocument,
    Assignment,
    BroadcastClass,
    Emergency,
    FaultRecord,
    Heard,
    HeardBy,
    KeyScope,
    Keyset,
    MediaReference,
    Occurrence,
    OperationalKey,
    Plan,
    QuietHours,
    Reality,
    Report,
    SelfTestRecord,
    SelfTestVerdict,
    SourceKind,
    StreamEnd,
    StreamStart,
)
from protocol.plan import BODY_OCCURRENCES_MAX, PLAN_BODY_BYTES_MAX, BodyReference

T0_MS = 1_800_000_000_000
"""2027-01-15 15:00 in Hà Nội; the tests' now."""
MINUTE_MS = 60_000
CLIP = MediaReference(sha256="ab" * 32, size_bytes=1000, duration_ms=5_000)
STREAM = "0123456789abcdef"


def occurrence(name: str, start_at_ms: int, duration_ms: int = MINUTE_MS, **changes: object) -> Occurrence:
    """One item of a clip."""
    fields: dict[str, object] = {
        "id": name,
        "programme": "morning",
        "title": f"Bản tin {name}",
        "broadcast_class": BroadcastClass.ROUTINE,
        "start_at_ms": start_at_ms,
        "duration_ms": duration_ms,
        "media": CLIP,
    }
    return Occurrence(**{**fields, **changes})  # type: ignore[arg-type] # a test's own choice of fields


def plan(area: str, *occurrences: Occurrence, counter: int = 1, **changes: object) -> Plan:
    """A plan of seven days from T0."""
    week_ms = 7 * 24 * 60 * MINUTE_MS
    fields: dict[str, object] = {
        **_header("plan", area_audience(area), counter, T0_MS + week_ms),
        "area": area,
        "covers_from_ms": T0_MS - week_ms,
        "covers_until_ms": T0_MS + week_ms,
        "occurrences": occurrences,
    }
    return Plan(**{**fields, **changes})  # type: ignore[arg-type] # a test's own choice of fields


def emergency(area: str, **changes: object) -> Emergency:
    """A real emergency of half an hour."""
    fields: dict[str, object] = {
        **_header("emergency", area_audience(area), 1, T0_MS + 30 * MINUTE_MS),
        "broadcast_class": BroadcastClass.EMERGENCY,
        "emergency": "flood-1",
        "area": area,
        "title": "Lũ khẩn cấp",
        "clip": CLIP,
        "play_at_ms": T0_MS + 450,
        "repeat_every_ms": 6_000,
        "sounds_until_ms": T0_MS + 30 * MINUTE_MS,
    }
    return Emergency(**{**fields, **changes})  # type: ignore[arg-type] # a test's own choice of fields


def stream_start(area: str, **changes: object) -> StreamStart:
    """A relay of a quarter of an hour."""
    fields: dict[str, object] = {
        **_header("stream-start", area_audience(area), 1, T0_MS + 15 * MINUTE_MS),
        "stream": STREAM,
        "area": area,
        "title": "VOV1",
        "public_key": bytes(32),
        "starts_at_ms": T0_MS,
        "ends_at_ms": T0_MS + 15 * MINUTE_MS,
    }
    return StreamStart(**{**fields, **changes})  # type: ignore[arg-type] # a test's own choice of fields


def _header(name: str, audience: str, counter: int, expires_at_ms: int) -> dict[str, object]:
    return {
        "id": f"{name}-{counter}",
        "issuer": "controller1",
        "audience": audience,
        "counter": counter,
        "not_before_ms": T0_MS,
        "expires_at_ms": expires_at_ms,
    }


names = st.from_regex(r"[0-9A-Za-z_.:-]{1,64}", fullmatch=True)
areas = st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True)
nodes = st.from_regex(r"[0-9A-Za-z]{1,23}", fullmatch=True)
streams = st.binary(min_size=8, max_size=8).map(bytes.hex)
public_keys = st.binary(min_size=32, max_size=32)
counters = st.integers(min_value=0, max_value=2**63 - 1)
instants_ms = st.integers(min_value=0, max_value=253_000_000_000_000)
durations_ms = st.integers(min_value=1, max_value=24 * 60 * MINUTE_MS)
titles = st.text(max_size=40)
classes = st.sampled_from(BroadcastClass)
realities = st.sampled_from(Reality)
gains_db = st.floats(min_value=-120, max_value=24)

media = st.builds(
    MediaReference,
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
    size_bytes=st.integers(min_value=1, max_value=64 * 1024 * 1024),
    duration_ms=durations_ms,
)
quiet_hours = st.tuples(st.integers(0, 1439), st.integers(0, 1439)).filter(lambda pair: pair[0] != pair[1])
quiet_hours_documents = quiet_hours.map(lambda pair: QuietHours(begin_minute=pair[0], end_minute=pair[1]))

_header_strategies = {
    "id": names,
    "issuer": st.text(max_size=20),
    "audience": st.one_of(st.just("everyone"), areas.map(area_audience), nodes.map(node_audience)),
    "counter": counters,
    "not_before_ms": instants_ms,
    "expires_at_ms": instants_ms,
    "broadcast_class": classes,
    "reality": realities,
}
_occurrence_fields = {
    "id": names,
    "programme": st.text(max_size=20),
    "title": titles,
    "broadcast_class": classes,
    "start_at_ms": instants_ms,
    "duration_ms": durations_ms,
    "valid_until_ms": st.none() | instants_ms,
}
bodies = st.builds(
    BodyReference,
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
    size_bytes=st.integers(min_value=1, max_value=PLAN_BODY_BYTES_MAX),
    occurrences=st.integers(min_value=1, max_value=BODY_OCCURRENCES_MAX),
    classes=st.lists(classes, min_size=1, max_size=3).map(tuple),
    ends_at_ms=instants_ms,
)
occurrences = st.one_of(
    st.builds(Occurrence, media=media, feed=st.none(), **_occurrence_fields),
    st.builds(Occurrence, media=st.none(), feed=st.text(max_size=20), **_occurrence_fields),
)
operational_keys = st.builds(
    OperationalKey,
    key_id=names,
    public_key=public_keys,
    scope=st.builds(
        KeyScope,
        document_types=st.lists(st.sampled_from(["plan", "emergency"]), max_size=2).map(tuple),
        areas=st.lists(st.one_of(st.just("*"), areas), max_size=3).map(tuple),
        classes=st.lists(classes, max_size=3).map(tuple),
        realities=st.lists(realities, max_size=2).map(tuple),
    ),
    not_before_ms=instants_ms,
    expires_at_ms=instants_ms,
    revoked=st.booleans(),
)


@st.composite
def _emergencies(draw: st.DrawFn) -> Emergency:
    clip = draw(media)
    play_at_ms = draw(st.integers(min_value=0, max_value=250_000_000_000_000))
    return Emergency(
        **{name: draw(strategy) for name, strategy in _header_strategies.items()},
        emergency=draw(names),
        area=draw(areas),
        title=draw(titles),
        clip=clip,
        play_at_ms=play_at_ms,
        repeat_every_ms=draw(st.integers(min_value=clip.duration_ms, max_value=24 * 60 * MINUTE_MS)),
        sounds_until_ms=play_at_ms + draw(durations_ms),
    )


@st.composite
def _stream_starts(draw: st.DrawFn) -> StreamStart:
    starts_at_ms = draw(st.integers(min_value=0, max_value=250_000_000_000_000))
    return StreamStart(
        **{name: draw(strategy) for name, strategy in _header_strategies.items()},
        stream=draw(streams),
        area=draw(areas),
        title=draw(titles),
        public_key=draw(public_keys),
        starts_at_ms=starts_at_ms,
        ends_at_ms=starts_at_ms + draw(durations_ms),
        stall_ms_max=draw(st.integers(min_value=200, max_value=60_000)),
        occurrence=draw(st.none() | names),
    )


documents: st.SearchStrategy[AnyDocument] = st.one_of(
    st.builds(Keyset, keys=st.lists(operational_keys, max_size=3).map(tuple), **_header_strategies),
    st.builds(
        Assignment,
        node=nodes,
        title=titles,
        areas=st.lists(areas, min_size=1, max_size=8).map(tuple),
        time_zone=st.just("Asia/Ho_Chi_Minh"),
        quiet_hours=st.none() | quiet_hours_documents,
        gain_db=gains_db,
        emergency_gain_db=gains_db,
        prepared_clips=st.lists(media, max_size=3).map(tuple),
        herd_window_s=st.integers(0, 600),
        **_header_strategies,
    ),
    st.builds(
        Plan,
        area=areas,
        covers_from_ms=instants_ms,
        covers_until_ms=instants_ms,
        occurrences=st.lists(occurrences, max_size=4).map(tuple),
        body=st.none() | bodies,
        **_header_strategies,
    ),
    _stream_starts(),
    st.builds(StreamEnd, stream=streams, area=areas, ends_at_ms=instants_ms, reason=titles, **_header_strategies),
    _emergencies(),
    st.builds(AllClear, emergency=names, area=areas, reason=titles, correction=st.booleans(), **_header_strategies),
    st.builds(Acknowledgement, node=nodes, stored_number=counters, **_header_strategies),
)

_levels = st.none() | st.floats(min_value=-200, max_value=0)
heard = st.builds(
    Heard,
    by=st.sampled_from(HeardBy),
    is_heard=st.none() | st.booleans(),
    level_dbfs=_levels,
    likeness=st.none() | st.floats(min_value=0, max_value=1),
    delay_ms=st.none() | st.floats(min_value=0, max_value=1_000),
    amperes=st.none() | st.floats(min_value=0, max_value=10),
)
reports = st.builds(
    Report,
    node=nodes,
    number=counters,
    previous_sha256=public_keys,
    record=st.one_of(
        st.builds(FaultRecord, fault=titles, active=st.booleans(), detail=titles, at_ms=instants_ms),
        st.builds(
            AiringRecord,
            airing=titles,
            source=st.sampled_from(SourceKind),
            source_id=titles,
            title=titles,
            broadcast_class=classes,
            reality=realities,
            state=st.sampled_from(AiringState),
            at_ms=instants_ms,
            reason=titles,
            audible_ms=instants_ms,
            level_dbfs=_levels,
            clock_error_ms=st.floats(min_value=0, max_value=1e6),
            area=st.none() | areas,
            programme=titles,
            due_at_ms=st.none() | instants_ms,
            is_delivered=st.none() | st.booleans(),
            first_sample=st.none() | counters,
            samples=counters,
            content_sample=st.none() | counters,
            digest=st.sampled_from(("", f"media:{'ab' * 32}", f"pcm:{'cd' * 32}")),
            gain_db=st.none() | gains_db,
            interruptions=st.integers(0, 9),
            breaks=st.integers(0, 9),
            lost_to=titles,
            heard=st.none() | heard,
        ),
        st.builds(
            SelfTestRecord,
            at_ms=instants_ms,
            verdict=st.sampled_from(SelfTestVerdict),
            detail=titles,
            heard=st.none() | heard,
            noise_dbfs=_levels,
            reference_at_ms=st.none() | instants_ms,
            level_change_db=st.none() | st.floats(min_value=-90, max_value=90),
            bands_change_db=st.lists(st.floats(min_value=-90, max_value=90), max_size=12).map(tuple),
            current_change=st.none() | st.floats(min_value=0, max_value=100),
            clock_error_ms=st.floats(min_value=0, max_value=1e6),
        ),
    ),
)
