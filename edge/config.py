"""The node's configuration: one YAML, typed, every value bounded.

`parse_config` takes text and the folder that relative paths start from, and reads nothing else. That the files
it names exist and can be used is the duty of `adapters.preflight`. Keys stand in files of their own, by path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from edge.errors import ConfigurationError
from edge.gpio.amplifier import HOLD_MS_DEFAULT, HOLD_MS_MIN, WARM_UP_MS_DEFAULT
from edge.gpio.inputs import BOUNCE_MS_DEFAULT, SILENT_MINUTES_DEFAULT, StopButtonSettings
from protocol.configuration import SettingsError, parse_settings
from protocol.enrolment import TIME_PORT
from protocol.identity import NodeId

Port = Annotated[int, Meta(ge=1, le=65535)]
FilePath = Annotated[str, Meta(min_length=1, max_length=1024)]
DeviceName = Annotated[str, Meta(min_length=1, max_length=200)]
LATENCY_MS_MAX: Final = 500
"""An emergency waits for what was rendered ahead; more than this would be heard."""
DELAY_US_MAX: Final = 500_000
"""No sound path hides more than this; Bluetooth's 200 ms is the worst known."""

RECORDER_BYTES_MIN: Final = 1024 * 1024
"""Each of its four files begins with the documents in force, some 50 KB."""


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One mapping of the file: no key that is not named here."""


class BrokerConfig(_Part, frozen=True, kw_only=True):
    """Where the MQTT broker listens, and where for the time; always TLS."""

    host: Annotated[str, Meta(min_length=1, max_length=253)] = "localhost"
    port: Port = 8883
    time_port: Port = TIME_PORT


class MediaConfig(_Part, frozen=True, kw_only=True):
    """Where media files are fetched, how much room they take at most, and how much stays free beside them."""

    url: Annotated[str, Meta(min_length=1, max_length=1024)] = "https://localhost:8443"
    bytes_max: Annotated[int, Meta(ge=1024 * 1024)] = 2 * 1024**3
    free_bytes_min: Annotated[int, Meta(ge=0)] = 64 * 1024**2


class TrustConfig(_Part, frozen=True, kw_only=True):
    """Whom the node believes, and what it proves itself with."""

    root_keys: FilePath = "root_keys.json"
    ca: FilePath = "ca.pem"
    certificate: FilePath = "node.pem"
    private_key: FilePath = "node.key"
    report_key: FilePath = "report.key"


class SoundConfig(_Part, frozen=True, kw_only=True):
    """The sound card: which device, what if it is missing, who paces it, how much is rendered before it."""

    device: DeviceName | None = None
    fallback_device: DeviceName | None = None
    paced: Literal["device", "clock"] = "device"
    latency_ms: Annotated[int, Meta(ge=10, le=LATENCY_MS_MAX)] = 120
    ahead_ms: Annotated[int, Meta(ge=20, le=LATENCY_MS_MAX)] = 160
    voice_latency_ms: Annotated[int, Meta(ge=10, le=LATENCY_MS_MAX)] = 40
    voice_ahead_ms: Annotated[int, Meta(ge=20, le=LATENCY_MS_MAX)] = 80
    delay_us: Annotated[int, Meta(ge=-DELAY_US_MAX, le=DELAY_US_MAX)] = 0


class AmplifierConfig(_Part, frozen=True, kw_only=True):
    """The pin that powers the amplifier, and how long that takes."""

    pin_factory: Literal["auto", "lgpio", "mock"] = "auto"
    relay_pin: Annotated[int, Meta(ge=0, le=27)] = 17
    active_high: bool = True
    warm_up_ms: Annotated[int, Meta(ge=0, le=10_000)] = WARM_UP_MS_DEFAULT
    hold_ms: Annotated[int, Meta(ge=HOLD_MS_MIN, le=60_000)] = HOLD_MS_DEFAULT
    trace: FilePath | None = None


class InputsConfig(_Part, frozen=True, kw_only=True):
    """The stop button on the pole; without `stop_pin` there is none."""

    stop_pin: Annotated[int, Meta(ge=0, le=27)] | None = None
    stop_active_high: bool = False
    bounce_ms: Annotated[int, Meta(ge=5, le=500)] = BOUNCE_MS_DEFAULT
    stop_minutes: Annotated[int, Meta(ge=1, le=60)] = SILENT_MINUTES_DEFAULT


class HearingConfig(_Part, frozen=True, kw_only=True):
    """What listens to the horn: a sound input with what lies on its channels, the amplifier's current; or nothing."""

    device: DeviceName | None = None
    channels: Annotated[tuple[Literal["microphone", "tap"], ...], Meta(min_length=1, max_length=2)] = ("microphone",)
    current: FilePath | None = None
    amperes_per_volt: Annotated[float, Meta(gt=0, le=1_000)] | None = None
    amperes_min: Annotated[float, Meta(ge=0.001, le=100)] = 0.05


class TelemetryConfig(_Part, frozen=True, kw_only=True):
    """How often the node says how it is when nothing changes."""

    idle_interval_s: Annotated[int, Meta(ge=1, le=90)] = 30
    on_air_interval_s: Annotated[int, Meta(ge=1, le=90)] = 5


class ClockConfig(_Part, frozen=True, kw_only=True):
    """Who tells the node the time, and which system clock it believes: one that something keeps, or any."""

    source: Literal["auto", "system", "exchange"] = "auto"
    believes: Literal["kept", "any"] = "kept"


class LogConfig(_Part, frozen=True, kw_only=True):
    """How much is written down."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class RecorderConfig(_Part, frozen=True, kw_only=True):
    """The flight recorder: the room that it takes on the disk (0: none is kept), and what it writes a day at most."""

    bytes_max: Annotated[int, Meta(ge=0, le=1024**3)] = 8 * 1024**2
    bytes_a_day_max: Annotated[int, Meta(ge=64 * 1024, le=1024**3)] = 2 * 1024**2


class EnrolmentConfig(_Part, frozen=True, kw_only=True):
    """Where the technician's file lies, for a unit that enrols, and what tells this box from another."""

    file: FilePath | None = None
    hardware: FilePath | None = None


class EdgeConfig(_Part, frozen=True, kw_only=True):
    """The whole file. An empty `node` comes from enrolment."""

    node: NodeId = ""
    enrolment: EnrolmentConfig = EnrolmentConfig()
    broker: BrokerConfig = BrokerConfig()
    media: MediaConfig = MediaConfig()
    trust: TrustConfig = TrustConfig()
    state_dir: FilePath = "/var/lib/loaxa"
    sound: SoundConfig = SoundConfig()
    amplifier: AmplifierConfig = AmplifierConfig()
    inputs: InputsConfig = InputsConfig()
    hearing: HearingConfig = HearingConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    clock: ClockConfig = ClockConfig()
    log: LogConfig = LogConfig()
    recorder: RecorderConfig = RecorderConfig()


def parse_config(text: str, *, name: str, folder: Path) -> EdgeConfig:
    """The configuration in `text`, its paths made absolute from `folder`; raises ConfigurationError."""
    try:
        config = parse_settings(text, EdgeConfig, name=name)
    except SettingsError as error:
        raise ConfigurationError(name, [str(error).removeprefix(f"{name}: ")]) from error
    problems = _problems(config)
    if problems:
        raise ConfigurationError(name, problems)
    return _absolute(config, folder)


def button_settings(config: InputsConfig) -> StopButtonSettings:
    """The stop button as the agent is told."""
    return StopButtonSettings(bounce_ms=config.bounce_ms, silent_minutes=config.stop_minutes)


def _problems(config: EdgeConfig) -> list[str]:
    problems: list[str] = []
    url = urlsplit(config.media.url)
    try:
        has_host = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        has_host = False
    if url.scheme != "https" or not has_host or url.query or url.username:
        problems.append(
            f"media.url: {config.media.url!r} is not an address; write https://HOST:PORT (media need the node's "
            "certificate, so plain http is not possible)"
        )
    if not config.node and config.enrolment.file is None:
        problems.append("node: write the node's name, or enrolment.file: the unit then gets its name by enrolment")
    if config.broker.time_port == config.broker.port:
        problems.append(
            f"broker.time_port: {config.broker.time_port} is broker.port; the time has a door of its own, where a "
            "second connection does not end the first"
        )
    if config.inputs.stop_pin == config.amplifier.relay_pin:
        problems.append(
            f"inputs.stop_pin: {config.inputs.stop_pin} is amplifier.relay_pin; the button needs a pin of its own"
        )
    if len(set(config.hearing.channels)) < len(config.hearing.channels):
        problems.append("hearing.channels: one thing stands on two channels; write what each channel carries, once")
    if 0 < config.recorder.bytes_max < RECORDER_BYTES_MIN:
        problems.append(
            f"recorder.bytes_max: {config.recorder.bytes_max} is too little for a recording to replay; write "
            f"at least {RECORDER_BYTES_MIN}, or 0 for none"
        )
    return problems


def _absolute(config: EdgeConfig, folder: Path) -> EdgeConfig:
    trust = {field: str(folder / getattr(config.trust, field)) for field in config.trust.__struct_fields__}
    trace, current = config.amplifier.trace, config.hearing.current
    return msgspec.structs.replace(
        config,
        trust=TrustConfig(**trust),
        state_dir=str(folder / config.state_dir),
        enrolment=EnrolmentConfig(
            **{field: path and str(folder / path) for field, path in msgspec.structs.asdict(config.enrolment).items()}
        ),
        hearing=msgspec.structs.replace(config.hearing, current=None if current is None else str(folder / current)),
        amplifier=msgspec.structs.replace(config.amplifier, trace=None if trace is None else str(folder / trace)),
    )
