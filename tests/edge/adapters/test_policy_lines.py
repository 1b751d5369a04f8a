"""What `loaxa-edge show` says of the rules of a place."""

from __future__ import annotations

from edge.adapters.policy_lines import policy_lines
from edge.assignment import Place
from edge.events import Restored, StoredNote
from edge.fetch_budget import NOTE as FETCHED
from edge.fetch_budget import Fetched
from edge.house import NOTE as AIR_TIME
from protocol.air_time import NOTHING_AIRED, local_day, with_sound
from protocol.codec import cbor_encode
from protocol.messages import AirTime, QuietHours, VolumeCap
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedNs, TimeSource

NOON_MS = 1_795_323_600_000
NOW = Now(monotonic_ns=MonotonicNs(0), shared_ns=SharedNs(NOON_MS * NS_PER_MS))
PAUSE = "(a pause of 5 min ends a session)"
RULE = AirTime(session_minutes_max=15, sessions_a_day_max=2)
PLACE = Place(
    node="N001",
    quiet_hours=QuietHours(),
    air_time=RULE,
    volume_caps=(VolumeCap(gain_db_max=-12.0, begin_minute=1080, end_minute=360), VolumeCap(gain_db_max=3.0)),
    fetch_bytes_a_day_max=10_000_000,
)


def test_says_what_is_laid_down_and_what_of_it_is_used() -> None:
    begins_ms, _ = local_day(PLACE.time_zone, NOON_MS)
    six_ms = begins_ms + 6 * 3_600_000
    aired = with_sound(NOTHING_AIRED, RULE, starts_at_ms=six_ms, from_ms=six_ms, until_ms=six_ms + 90_000)
    fetched = Fetched(day_begins_ms=begins_ms, bytes=3_000_000)
    notes = (
        StoredNote(name=AIR_TIME, payload=cbor_encode(aired)),
        StoredNote(name=FETCHED, payload=cbor_encode(fetched)),
    )
    assert policy_lines(PLACE, Restored(notes=notes), NOW) == [
        "quiet hours: 21:00 to 05:30 Asia/Ho_Chi_Minh",
        f"air time: at most 15 min a session, 2 sessions a day {PAUSE}; begun today: 1, 1.5 min of sound",
        "volume cap: -12.0 dB, 18:00 to 06:00",
        "volume cap: +3.0 dB, all day",
        "fetch budget: 3000000 of 10000000 bytes used today",
    ]


def test_says_nothing_of_what_is_not_laid_down_and_no_day_without_the_time() -> None:
    assert policy_lines(Place(node="N001", quiet_hours=None), Restored(), NOW) == ["quiet hours: none"]
    unknown = Now(monotonic_ns=MonotonicNs(0), shared_ns=SharedNs(0), source=TimeSource.UNKNOWN)
    lines = policy_lines(PLACE, Restored(), unknown)
    assert lines[1].endswith(PAUSE)
