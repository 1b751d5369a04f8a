"""The controller's configuration: every key that its one YAML may have, with type, bound and default.

It leaves reading the text to `parsing`, what the parts must be to each other to `check`, and that the
files it names exist and can be used to `adapters.preflight`. Keys stand in files of their own, by path.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from controller.broker.rules import BrokerServerConfig
from controller.configuration.policy import AirTimeConfig, FetchBytesConfig, VolumeCapConfigs
from controller.enrolment.config import EnrolmentConfig, EnrolmentListenerConfig
from controller.keys.key_config import SigningKeyConfig
from controller.media.media_config import MediaConfig
from controller.people.rights import Role
from controller.programmes.holidays import HolidaysConfig
from controller.programmes.programme import (
    ITEMS_MAX,
    LUNAR_DAYS_MAX,
    OVERRIDES_MAX,
    Item,
    LocalInstant,
    LunarDay,
    Override,
    Programme,
    Recurrence,
    lunar,
    weekly,
)
from controller.programmes.speech import SpeechConfig
from protocol.attention import AIMING_DELAY_US_MAX, CHIME_MS_MAX, EMERGENCY_CHIME_MS, NOTICE_CHIME_MS, ChimeMs
from protocol.identity import AREA_PATTERN, NODE_PATTERN, AreaId, NodeId
from protocol.messages import BroadcastClass, Reality
from protocol.turns import Turn

AimingDelayMs = Annotated[float, Meta(ge=0, le=AIMING_DELAY_US_MAX / 1000)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Name = Annotated[str, Meta(pattern=AREA_PATTERN, description="an id: a-z, 0-9 and -, at most 40")]
Title = Annotated[str, Meta(min_length=1, max_length=200)]
TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?\Z")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Days as `datetime.weekday` counts them."""


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One mapping of the file: no key that is not named here."""


class BrokerConfig(_Part, frozen=True, kw_only=True):
    """Where the MQTT broker listens; always TLS. `server` is there where its files are made here too."""

    host: Annotated[str, Meta(min_length=1, max_length=253)] = "localhost"
    port: Port = 8883
    server: BrokerServerConfig | None = None


class TrustConfig(_Part, frozen=True, kw_only=True):
    """Certificates, the root-signed keyset, and the keys this controller signs with."""

    ca: str
    certificate: str
    private_key: str
    keyset: str
    root_keys: str
    root_chain: str = ""
    signing_keys: Annotated[tuple[SigningKeyConfig, ...], Meta(min_length=1, max_length=16)]


class NodesListenerConfig(_Part, frozen=True, kw_only=True):
    """Media for nodes: HTTPS with mutual TLS."""

    certificate: str
    private_key: str
    host: str = "0.0.0.0"  # noqa: S104 - nodes come from everywhere; mutual TLS guards this door
    port: Port = 8443


class ConsoleListenerConfig(_Part, frozen=True, kw_only=True):
    """The page and the API; on this machine only, unless told otherwise, and then over TLS and for people known here.

    `origin` is the address as browsers see it; passkeys are bound to its name.
    """

    token_file: str
    token_roles: Annotated[tuple[Role, ...], Meta(max_length=7)] = (Role.OPERATOR, Role.TECHNICIAN)
    host: str = "127.0.0.1"
    port: Port = 8080
    origin: Annotated[str, Meta(pattern=r"^(https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?)?\Z")] = ""
    certificate: str | None = None
    private_key: str | None = None


class HttpConfig(_Part, frozen=True, kw_only=True):
    """The two listeners."""

    nodes: NodesListenerConfig
    console: ConsoleListenerConfig
    enrolment: EnrolmentListenerConfig | None = None


class PeopleConfig(_Part, frozen=True, kw_only=True):
    """How long people stay logged in, and how fresh a second factor must be."""

    key_file: str | None = None
    session_idle_minutes: Annotated[int, Meta(ge=5, le=1440)] = 60
    session_hours: Annotated[int, Meta(ge=1, le=720)] = 12
    step_up_minutes: Annotated[int, Meta(ge=1, le=120)] = 10


class AuditConfig(_Part, frozen=True, kw_only=True):
    """Which key signs the audit log, and how often."""

    key_file: str | None = None
    checkpoint_minutes: Annotated[int, Meta(ge=1, le=1440)] = 15


class AreaConfig(_Part, frozen=True, kw_only=True):
    """One place in the tree."""

    id: AreaId
    title: Title
    level: Annotated[str, Meta(max_length=40)] = ""
    parent: AreaId | None = None
    turn: Turn | None = None
    air_time: AirTimeConfig | Literal["none"] | None = None
    volume_caps: VolumeCapConfigs = ()
    fetch_bytes_a_day_max: FetchBytesConfig | Literal["none"] | None = None


class QuietHoursConfig(_Part, frozen=True, kw_only=True):
    """Local times between which nothing but a real emergency sounds."""

    begin: TimeOfDay = "21:00"
    end: TimeOfDay = "05:30"


class NodeConfig(_Part, frozen=True, kw_only=True):
    """One loudspeaker cluster."""

    id: NodeId
    title: Title
    area: AreaId
    report_key: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z", description="Ed25519 public key, hexadecimal")] = ""
    gain_db: Annotated[float, Meta(ge=-60, le=24)] = 0.0
    emergency_gain_db: Annotated[float, Meta(ge=-60, le=24)] = 0.0
    quiet_hours: QuietHoursConfig | Literal["none"] = QuietHoursConfig()
    self_test: TimeOfDay | None = None
    turn: Turn | None = None
    aiming_delay_ms: AimingDelayMs = 0.0
    emergency_aiming_delay_ms: AimingDelayMs = 0.0
    air_time: AirTimeConfig | Literal["none"] | None = None
    volume_caps: VolumeCapConfigs = ()
    fetch_bytes_a_day_max: FetchBytesConfig | Literal["none"] | None = None


class FeedConfig(_Part, frozen=True, kw_only=True):
    """One station's feed: its URLs in the order in which they are tried."""

    id: Name
    title: Title
    urls: Annotated[tuple[str, ...], Meta(min_length=1, max_length=8)]
    headers: Annotated[dict[str, str], Meta(max_length=16)] = msgspec.field(default_factory=dict)


class ClipConfig(_Part, frozen=True, kw_only=True):
    """A prepared emergency message. A clip made for drills cannot be played as real, nor the reverse.

    `chime_ms` in place of what `emergency` says, for a file that begins with a signal of its own.
    """

    id: Name
    title: Title
    file: str
    reality: Reality = Reality.REAL
    chime_ms: ChimeMs | None = None


ItemConfig = Item
"""One item of a programme: what it may say stands beside the model."""


class ProgrammeConfig(_Part, frozen=True, kw_only=True):
    """A programme of the site's own: at a local time of day on some days of the week, or as its recurrence says."""

    id: Name
    title: Title
    area: AreaId
    items: Annotated[tuple[Item, ...], Meta(min_length=1, max_length=ITEMS_MAX)]
    at: TimeOfDay | None = None
    days: Annotated[tuple[Weekday, ...], Meta(min_length=1, max_length=7)] | None = None
    lunar_days: Annotated[tuple[LunarDay, ...], Meta(min_length=1, max_length=LUNAR_DAYS_MAX)] | None = None
    recurrence: Recurrence | None = None
    broadcast_class: BroadcastClass = BroadcastClass.ROUTINE
    overrides: Annotated[tuple[Override, ...], Meta(max_length=OVERRIDES_MAX)] = ()
    valid_from: LocalInstant | None = None
    valid_until: LocalInstant | None = None
    before_upper: bool = False

    @property
    def written(self) -> Programme:
        """The same as everybody's programmes are written; raises ValueError with what is wrong."""
        if (self.at is None) == (self.recurrence is None):
            raise ValueError("write either at (a time of day) or recurrence")
        if self.recurrence is not None and (self.days is not None or self.lunar_days is not None):
            raise ValueError("days and lunar_days belong to at; a recurrence says its days in its rules")
        if self.days is not None and self.lunar_days is not None:
            raise ValueError("write days of the week or lunar days; both together need a recurrence")
        return Programme(
            id=self.id,
            title=self.title,
            area=self.area,
            items=self.items,
            recurrence=self.recurrence or self._of_day(self.at or ""),
            broadcast_class=self.broadcast_class,
            overrides=self.overrides,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            before_upper=self.before_upper,
        )

    def _of_day(self, at: str) -> Recurrence:
        return weekly(at, self.days) if self.lunar_days is None else lunar(at, self.lunar_days)


class RelayConfig(_Part, frozen=True, kw_only=True):
    """How feeds are carried; see docs for each bound."""

    delay_ms: Annotated[int, Meta(ge=200, le=10_000)] = 1000
    delay_ms_max: Annotated[int, Meta(ge=200, le=10_000)] = 4000
    frames_per_packet: Annotated[int, Meta(ge=1, le=10)] = 5
    bitrate_bps: Annotated[int, Meta(ge=8_000, le=128_000)] = 64_000
    level_dbfs: Annotated[float, Meta(ge=-40, le=-6)] = -20.0
    silence_s_max: Annotated[float, Meta(ge=1, le=600)] = 20.0
    stall_s_max: Annotated[float, Meta(ge=0.2, le=60)] = 5.0


class EmergencyConfig(_Part, frozen=True, kw_only=True):
    """How soon, how often and how long an emergency sounds, and the attention signal before each repetition."""

    lead_ms: Annotated[int, Meta(ge=0, le=10_000)] = 150
    warm_up_ms: Annotated[int, Meta(ge=0, le=10_000)] = 300
    chime_ms: ChimeMs = EMERGENCY_CHIME_MS
    repeat_pause_ms: Annotated[int, Meta(ge=0, le=600_000)] = 1000
    minutes_max: Annotated[int, Meta(ge=1, le=1440)] = 120


class AnnouncementConfig(_Part, frozen=True, kw_only=True):
    """How long the attention signal is that items and relays may have."""

    chime_ms: Annotated[int, Meta(ge=500, le=CHIME_MS_MAX)] = NOTICE_CHIME_MS


class VoiceConfig(_Part, frozen=True, kw_only=True):
    """How a live voice is carried; see docs for each bound."""

    delay_ms: Annotated[int, Meta(ge=80, le=2_000)] = 400
    delay_ms_max: Annotated[int, Meta(ge=80, le=5_000)] = 1_500
    near_ms: Annotated[int, Meta(ge=80, le=2_000)] = 200
    lead_in_ms: Annotated[int, Meta(ge=0, le=5_000)] = 1_500
    frames_per_packet: Annotated[int, Meta(ge=1, le=3)] = 1
    bitrate_bps: Annotated[int, Meta(ge=8_000, le=128_000)] = 32_000
    level_dbfs: Annotated[float, Meta(ge=-40, le=-6)] = -20.0
    silence_s_max: Annotated[int, Meta(ge=5, le=600)] = 60
    minutes_max: Annotated[int, Meta(ge=1, le=240)] = 60


class TurnsConfig(_Part, frozen=True, kw_only=True):
    """Where zones sound one after another: the pause between two."""

    gap_ms: Annotated[int, Meta(ge=0, le=60_000)] = 2_000
    """Sound goes 690 m in it: the last word of one zone has passed the next before that begins."""


class TimeServiceConfig(_Part, frozen=True, kw_only=True):
    """Whether nodes may ask this controller what time it is, and how often."""

    enabled: bool = True
    requests_a_minute_max: Annotated[int, Meta(ge=1, le=600)] = 120


class Config(_Part, frozen=True, kw_only=True):
    """Everything that one controller process is told."""

    controller: Annotated[str, Meta(pattern=NODE_PATTERN)]
    trust: TrustConfig
    database: str
    state_dir: str
    http: HttpConfig
    areas: Annotated[tuple[AreaConfig, ...], Meta(min_length=1, max_length=20_000)]
    time_zone: str = "Asia/Ho_Chi_Minh"
    broker: BrokerConfig = BrokerConfig()
    nodes: Annotated[tuple[NodeConfig, ...], Meta(max_length=20_000)] = ()
    feeds: Annotated[tuple[FeedConfig, ...], Meta(max_length=200)] = ()
    clips: Annotated[tuple[ClipConfig, ...], Meta(max_length=64)] = ()
    programmes: Annotated[tuple[ProgrammeConfig, ...], Meta(max_length=2000)] = ()
    holidays: HolidaysConfig = HolidaysConfig()
    media: MediaConfig = MediaConfig()
    relay: RelayConfig = RelayConfig()
    emergency: EmergencyConfig = EmergencyConfig()
    announcement: AnnouncementConfig = AnnouncementConfig()
    turns: TurnsConfig = TurnsConfig()
    voice: VoiceConfig = VoiceConfig()
    speech: SpeechConfig = SpeechConfig()
    people: PeopleConfig = PeopleConfig()
    audit: AuditConfig = AuditConfig()
    time_service: TimeServiceConfig = TimeServiceConfig()
    enrolment: EnrolmentConfig | None = None
