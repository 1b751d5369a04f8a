"""A scenario: a commune, a time, what happens in it and what is expected, in one YAML file.

The controller's and the nodes' settings are the product's own structs; keys and certificates follow from the seed, so
what only they need may be left out. A key that does not exist is an error with its path. `province_of` builds the
world; `simulator.runs.runner` runs it.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import replace
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from controller.configuration.config import Config, EmergencyConfig, HttpConfig, TrustConfig
from edge.clock.shared_clock import SourceChoice
from edge.config import EdgeConfig
from protocol.adapters.system_clock import BUILT_AT_SHARED_NS
from protocol.configuration import SettingsError, parse_settings
from protocol.messages import HeardBy
from protocol.topics import access_rules
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.broker.broker import BrokerSettings
from simulator.chance import stream_of
from simulator.checkers.table import CHECKERS
from simulator.clock import BUILD_DATE_NS, ClockSettings
from simulator.commune import ProvinceSettings
from simulator.faults.faults import KINDS, FaultError, FaultPlan, check_faults
from simulator.network.delay import MOBILE, WIRED
from simulator.pole.climate import BatterySettings, WeatherKind
from simulator.pole.enclosure import EnclosureSettings
from simulator.pole.microphone import Place
from simulator.pole.parts import BootSettings, PoleSettings, ProbeSettings, Rtc, SoundMode
from simulator.pole.sound_card import SimulatedCardSettings
from simulator.runs.drawing import Drawn, draw
from simulator.runs.drawing import Place as DrawnPlace
from simulator.runs.steps import Expectation, SimulatedNode, Step
from simulator.runs.usual import EMERGENCY, HTTP, MEDIA, TRUST, usual_commune
from simulator.services.controller import ControllerSettings
from simulator.services.media_server import recording

FOLDER: Final = "scenarios"
SUFFIX: Final = ".yaml"
INTRUDER: Final = "intruder"
"""A stolen controller's certificate: the broker takes it for one."""
DRIFT_PPB_MAX: Final = 30_000
"""Crystals of a Raspberry Pi and of cheap sound cards, from -10 to 60 degrees."""
RESIDUAL_PPB_MAX: Final = 20
"""What chrony leaves."""


ROW_POLES: Final = 10
FIRST_SEED: Final = 1


class ScenarioError(ValueError):
    """A scenario that cannot be run; the text says where and why."""


class SimulatedControllerConfig(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`controller.configuration.config.Config`; what the seed or the simulator gives has a default."""

    controller: str = "controller1"
    trust: TrustConfig = TRUST
    database: str = "sqlite:///controller.sqlite"
    state_dir: str = "state"
    http: HttpConfig = HTTP
    emergency: EmergencyConfig = EMERGENCY
    nodes: tuple[SimulatedNode, ...] = ()


class SimulatedEdgeConfig(EdgeConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`edge.config.EdgeConfig`, for every pole; the name is the pole's own."""

    node: str = "N0001"


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One mapping of the file: no key that is not named here."""


class Commune(_Part, frozen=True, kw_only=True):
    """The usual commune in so many villages and poles, instead of `controller`."""

    poles: Annotated[int, Meta(ge=1, le=5_000)] = 4
    villages: Annotated[int, Meta(ge=1, le=100)] = 2


class MediaFile(_Part, frozen=True, kw_only=True):
    """What a source file of the controller's configuration is."""

    seconds: Annotated[float, Meta(gt=0, le=86_400)]


class RandomFaults(_Part, frozen=True, kw_only=True):
    """Faults drawn from the seed, between two times of the first and a later day; at `targets`, or anywhere."""

    count_max: Annotated[int, Meta(ge=1, le=1_000)]
    kinds: Annotated[tuple[str, ...], Meta(min_length=1)]
    minutes: Annotated[float, Meta(gt=0)]
    count_min: Annotated[int, Meta(ge=0)] = 0
    after_minutes: Annotated[float, Meta(ge=0)] = 0
    targets: tuple[str, ...] = ()


class Scenario(_Part, frozen=True, kw_only=True):
    """The whole file."""

    title: Annotated[str, Meta(min_length=1, max_length=120)]
    title_vi: Annotated[str, Meta(min_length=1, max_length=120)]
    start: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d\Z")]
    minutes: Annotated[float, Meta(gt=0, le=60 * 24 * 31)]
    about: str = ""
    commune: Commune | None = None
    controller: SimulatedControllerConfig | None = None
    drawn: Drawn | None = None
    edge: SimulatedEdgeConfig = SimulatedEdgeConfig()
    media: dict[str, MediaFile] = {}
    sound: SoundMode = SoundMode.SILENT
    probe_s: Annotated[int, Meta(ge=0, le=3600)] = 5
    network: Literal["wired", "mobile"] = "mobile"
    rtc: Rtc = Rtc.SAVED_HOUR
    time: SourceChoice = SourceChoice.SYSTEM
    ntp: bool = True
    disk_mib: Annotated[int, Meta(ge=16, le=65_536)] = 8_192
    battery_wh: Annotated[int, Meta(ge=0, le=2_000)] = 0
    weather: WeatherKind = WeatherKind.NONE
    spacing_m: Annotated[int, Meta(ge=1, le=5_000)] = 250
    sensors: Annotated[tuple[HeardBy, ...], Meta(max_length=3)] = ()
    settle_s: Annotated[int, Meta(ge=1, le=7_200)] = 150
    steps: tuple[Step, ...] = ()
    expect: tuple[Expectation, ...] = ()
    faults: RandomFaults | None = None
    plan: FaultPlan | None = None
    without: dict[str, str] = {}
    cost_s: Annotated[float, Meta(gt=0, le=3_600)] | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if sum(each is not None for each in (self.commune, self.controller, self.drawn)) != 1:
            raise ValueError("say one of commune (the usual one), controller (its whole configuration), drawn")
        if self.sensors and self.sound is not SoundMode.FULL:
            raise ValueError("sensors: they hear what is rendered; write sound: full")
        for name, why in self.without.items():
            if name not in CHECKERS or not why:
                raise ValueError(
                    f"without.{name}: name one of {', '.join(CHECKERS)} and say why it does not judge here"
                )
        if self.start_ns < BUILT_AT_SHARED_NS:
            raise ValueError("start: nodes believe no clock that stands before their program was built")
        for kind in () if self.faults is None else self.faults.kinds:
            if kind not in KINDS:
                raise ValueError(f"faults.kinds: there is no {kind!r}; the kinds are {', '.join(KINDS)}")

    @property
    def config(self) -> Config:
        """The controller's configuration; where it is drawn, that of the first seed."""
        if self.controller is not None:
            return self.controller
        if self.drawn is not None:
            return self.place(FIRST_SEED, self.drawn).config
        commune = self.commune or Commune()
        return usual_commune(poles=commune.poles, villages=commune.villages)

    @property
    def start_ns(self) -> int:
        """The first instant, true time."""
        return start_of(self.start, self.config)

    def place(self, seed: int, drawn: Drawn) -> DrawnPlace:
        """What a seed draws."""
        return draw(drawn, seed=seed, start=self.start, minutes=self.minutes)


def start_of(start: str, config: Config) -> int:
    """An instant by the wall clock of the place, true time."""
    zone = zoneinfo.ZoneInfo(config.time_zone)
    return int(dt.datetime.fromisoformat(start).replace(tzinfo=zone).timestamp()) * NS_PER_S


def parse_scenario(text: str, *, name: str) -> Scenario:
    """A checked scenario; raises ScenarioError."""
    try:
        scenario = parse_settings(text, Scenario, name=name)
        if scenario.plan is not None:
            check_faults(scenario.plan)
    except (SettingsError, FaultError) as error:
        raise ScenarioError(str(error) if str(error).startswith(name) else f"{name}: {error}") from error
    return scenario


def library() -> dict[str, Path]:
    """The scenarios that come with the simulator, by name."""
    folder = Path(str(resources.files("simulator"))) / FOLDER
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def load_scenario(name_or_path: str) -> tuple[str, Scenario]:
    """The name and the scenario, of the library or of a file; raises ScenarioError."""
    path = library().get(name_or_path) or Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        near = get_close_matches(name_or_path, library(), n=1)
        meant = f"; did you mean {near[0]}?" if near else "; `loaxa-sim scenarios` lists the library"
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ScenarioError(f"{name_or_path} is no scenario of the library, and no file ({why}){meant}") from error
    return path.stem, parse_scenario(text, name=str(path.name))


def province_of(scenario: Scenario, *, seed: int) -> ProvinceSettings:
    """What the world is made of; crystals, clocks and cards differ from pole to pole as the seed says."""
    config, start_ns = scenario.config, scenario.start_ns
    media = dict(MEDIA) if scenario.commune is not None else {}
    if scenario.drawn is not None:
        place = scenario.place(seed, scenario.drawn)
        config, start_ns, media = place.config, start_of(place.start, place.config), place.media
    media |= {
        path: recording(Path(path).stem, duration_ms=int(file.seconds * 1000)) for path, file in scenario.media.items()
    }
    usual = PoleSettings(
        sound=scenario.sound,
        probe=ProbeSettings(every_ns=scenario.probe_s * NS_PER_S),
        access=MOBILE if scenario.network == "mobile" else WIRED,
        boot=BootSettings(rtc=scenario.rtc) if scenario.ntp else BootSettings(rtc=scenario.rtc, ntp_after_ns=None),
        time=scenario.time,
        sensors=scenario.sensors,
        disk_bytes=scenario.disk_mib * 1024 * 1024,
        enclosure=_enclosure_of(scenario, start_ns, config.time_zone),
    )
    return ProvinceSettings(
        controller=config,
        media=media,
        edge=scenario.edge,
        pole=usual,
        poles={
            node.id: replace(
                _as_made(usual, seed, node.id, has_ntp=scenario.ntp), place=_place(index, scenario.spacing_m)
            )
            for index, node in enumerate(config.nodes)
        },
        broker=BrokerSettings(access_rules=access_rules(controllers=(config.controller, INTRUDER))),
        controller_machine=ControllerSettings(tells_time=scenario.time is not SourceChoice.SYSTEM),
        start_ns=start_ns,
    )


def _enclosure_of(scenario: Scenario, start_ns: int, time_zone: str) -> EnclosureSettings:
    offset = dt.datetime.fromtimestamp(start_ns // NS_PER_S, tz=zoneinfo.ZoneInfo(time_zone)).utcoffset()
    battery = BatterySettings(capacity_mwh=scenario.battery_wh * 1_000) if scenario.battery_wh else None
    return EnclosureSettings(
        battery=battery, weather=scenario.weather, utc_offset_s=int((offset or dt.timedelta()).total_seconds())
    )


def _place(index: int, spacing_m: int) -> Place:
    """Poles stand on a grid in the order of the configuration, so many to a row."""
    north, east = divmod(index, ROW_POLES)
    return Place(east_mm=east * spacing_m * 1_000, north_mm=north * spacing_m * 1_000)


def _as_made(usual: PoleSettings, seed: int, node: str, *, has_ntp: bool) -> PoleSettings:
    chance = stream_of(seed, f"made/{node}")
    clock = ClockSettings(
        drift_ppb=chance.within(-DRIFT_PPB_MAX, DRIFT_PPB_MAX),
        offset_ns=chance.within(-2 * NS_PER_MS, 2 * NS_PER_MS),
        residual_ppb=chance.within(-RESIDUAL_PPB_MAX, RESIDUAL_PPB_MAX),
    )
    return replace(
        usual,
        clock=clock if has_ntp else replace(clock, is_synchronised=False, rtc_ns=BUILD_DATE_NS),
        card=SimulatedCardSettings(drift_ppb=chance.within(-DRIFT_PPB_MAX, DRIFT_PPB_MAX)),
    )


def with_plan(scenario: Scenario, plan: FaultPlan) -> Scenario:
    """The scenario with exactly these faults instead of drawn ones."""
    return msgspec.structs.replace(scenario, faults=None, plan=plan)
