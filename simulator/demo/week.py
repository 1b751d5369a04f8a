"""A week alone in the demo's commune: seven days without broker, controller and media server, in a minute.

The poles are the real agent, the desk is the real one and keeps everything in a real SQLite file; clocks, network,
cards and horns are simulated, and every checker of the simulator judges the week. Afterwards the real controller starts
on that file, and the product's own commands say what sounds in the coming days and report what became of the week.
Leaves the scenario's machinery to `simulator.runs.runner`, and the demo in real time to `show`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import subprocess
import sys
import time
import zoneinfo
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from protocol.messages import AiringState
from simulator.demo.clips import make_clips, read_wav, write_wav
from simulator.demo.console import Console, ConsoleError
from simulator.demo.ports import PortClaims
from simulator.demo.processes import Children, last_lines
from simulator.demo.site import (
    COMMUNE,
    NO_PORTS,
    NODES,
    TIME_ZONE,
    DemoSite,
    free_ports,
    prepare_folder,
    write_site,
)
from simulator.demo.town import TownError, take_folder
from simulator.runs.runner import Performance, Verdict, clock_of, perform
from simulator.runs.scenario import Scenario, parse_scenario
from simulator.services.database import SimulatedDatabase
from simulator.services.real_database import RealDatabase

Say = Callable[[str], None]

DAYS: Final = 7
SEED: Final = 1
CONTROLLER: Final = "controller"
SCRIPT: Final = "loaxa-controller"
DARK_POLE: Final = "N002"
"""The pole whose power is cut for a morning of the week, in the middle of a write."""
READY_S_MAX: Final = 120.0
"""Until the controller has taken in the clips anew, on a machine with other work."""
COMMAND_S_MAX: Final = 60.0
_POLL_S: Final = 0.5
_MINUTES: Final = DAYS * 24 * 60 + 60
_BACK_MINUTE: Final = 30
"""Broker and controller go this long after the week's begin, and come back exactly seven days later."""
_LENGTHS: Final = {"anthem": (0, 5), "news": (1, 24), "song": (0, 40)}
"""The week's files: which of the demo's two clips they repeat, and how often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """What came of it; `verdict` is the checkers', `commits` what went through SQL."""

    verdict: Verdict
    commits: int
    dues: int
    fates: Counter[tuple[str, str]]


def run_week(folder: Path, *, say: Say, seed: int = SEED) -> Week:
    """The whole of it, in one folder; whatever happens, nothing is left running. Raises what the demo raises."""
    folder.mkdir(parents=True, exist_ok=True)
    with take_folder(folder):
        return _week(DemoSite(folder=folder.resolve(), ports=NO_PORTS), say=say, seed=seed)


def _week(site: DemoSite, *, say: Say, seed: int) -> Week:
    say("Khoá, chứng thư, bản thu · Keys, certificates and clips")
    prepare_folder(site)
    media = _make_media(site)
    begins = begin_of(dt.datetime.now(tz=zoneinfo.ZoneInfo(TIME_ZONE)))
    settings = week_settings(media)
    path = site.folder / "controller" / "controller.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    database = RealDatabase(path)
    say(f"{begins:%d/%m/%Y %H:%M}: một tuần không có máy chủ, chạy nhanh · a week without broker and controller")
    try:
        performance = perform("week", scenario_of(settings, media, begins), seed=seed, new_database=_once(database))
    finally:
        database.close()
    week = _judged(performance, database.commits)
    for line in _told(week, performance):
        say(line)
    with _controller(site, settings, performance, say=say) as config:
        for words in _commands(config, begins):
            say(f"$ {SCRIPT} {' '.join(words)}")
            say(_output(words))
    return week


def week_settings(media: dict[str, Path]) -> dict[str, Any]:
    """What the commune lays down and has planned, as keys of the controller's configuration."""
    anthem, news, song = (str(media[name]) for name in _LENGTHS)
    rules = f"DTSTART;TZID={TIME_ZONE}:20260101T"
    return {
        "areas": [
            {
                "id": COMMUNE,
                "title": "Xã Bình Minh",
                "level": "commune",
                "air_time": {"session_minutes_max": 45, "sessions_a_day_max": 4, "minutes_a_day_max": 60},
            },
            {"id": "thon-dong", "title": "Thôn Đông", "level": "village", "parent": COMMUNE},
            {
                "id": "thon-doai",
                "title": "Thôn Đoài",
                "level": "village",
                "parent": COMMUNE,
                "volume_caps": [{"gain_db_max": -6, "begin": "07:00", "end": "17:00"}],
            },
        ],
        "programmes": [
            {
                "id": "buoi-sang",
                "title": "Chương trình buổi sáng",
                "area": COMMUNE,
                "recurrence": {"rules": f"{rules}053000\nRRULE:FREQ=DAILY"},
                "items": [{"file": anthem, "title": "Nhạc hiệu"}, {"file": news, "title": "Bản tin xã"}],
            },
            {
                "id": "buoi-chieu",
                "title": "Chương trình buổi chiều",
                "area": COMMUNE,
                "recurrence": {"rules": f"{rules}170000\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA"},
                "items": [{"file": anthem, "title": "Nhạc hiệu"}, {"file": song, "title": "Ca nhạc"}],
            },
            {
                "id": "tin-thon",
                "title": "Tin thôn Đoài",
                "area": "thon-doai",
                "broadcast_class": "priority",
                "recurrence": {"rules": f"{rules}110000\nRRULE:FREQ=DAILY;INTERVAL=2"},
                "items": [{"file": news, "title": "Tin ưu tiên của thôn"}],
            },
            {
                "id": "dat-nham",
                "title": "Đặt nhầm giờ 03:15",
                "area": COMMUNE,
                "recurrence": {"rules": f"{rules}031500\nRRULE:FREQ=DAILY"},
                "items": [{"file": news, "title": "Bản tin đặt nhầm giờ"}],
            },
        ],
    }


def _make_media(site: DemoSite) -> dict[str, Path]:
    """The week's files, out of the demo's clips; kept from run to run."""
    clips = make_clips(site.folder / "clips")
    made = {}
    for name, (index, times) in _LENGTHS.items():
        made[name] = site.folder / "clips" / f"week-{name}.wav"
        if not made[name].exists():
            write_wav(made[name], np.tile(read_wav(clips.playlist[index]), times))
    return made


def begin_of(now: dt.datetime) -> dt.datetime:
    """The week ends now, on the hour, so that what the real controller says afterwards goes on where it stopped."""
    return now.replace(minute=0, second=0, microsecond=0) - dt.timedelta(minutes=_MINUTES)


def scenario_of(settings: dict[str, Any], media: dict[str, Path], begins: dt.datetime) -> Scenario:
    """The week as a scenario: what is planned, what goes wrong and when."""
    away_at, dark_at = begins + dt.timedelta(minutes=_BACK_MINUTE), begins.replace(hour=5, minute=20)
    steps = [
        _fault(begins, away_at, "site_away", "controller1", for_ms=DAYS * 24 * 3_600_000),
        _fault(
            begins,
            dark_at + dt.timedelta(days=3),
            "node_power_cut",
            DARK_POLE,
            for_ms=2 * 3_600_000,
            at_write=0,
            rtc_is_dead=0,
        ),
        _fault(begins, dark_at.replace(hour=17, minute=1) + dt.timedelta(days=4), "node_restart", "N001"),
    ]
    nodes = [{"id": node.name, "title": node.title, "area": node.village} for node in NODES]
    text = {
        "title": "A week alone in the demo's commune",
        "title_vi": "Một tuần không có máy chủ ở xã mẫu",
        "start": f"{begins:%Y-%m-%d %H:%M}",
        "minutes": _MINUTES - 1,
        "sound": "full",
        "settle_s": 600,
        "controller": {**settings, "nodes": nodes},
        "media": {str(path): {"seconds": len(read_wav(path)) / 48_000} for path in media.values()},
        "steps": steps,
    }
    return parse_scenario(yaml.safe_dump(text, allow_unicode=True), name="week")


def _fault(begins: dt.datetime, at: dt.datetime, kind: str, target: str, **parameters: int) -> dict[str, Any]:
    day = (at.date() - begins.date()).days
    return {
        "do": "fault",
        "at": f"{at:%H:%M}",
        "day": day,
        "kind": kind,
        "targets": [target],
        "parameters": parameters,
    }


def _once(database: RealDatabase) -> Callable[[], SimulatedDatabase]:
    return lambda: database


def _judged(performance: Performance, commits: int) -> Week:
    fates: Counter[tuple[str, str]] = Counter()
    for stored in performance.evidence.records:
        record = stored.record
        if record.state is not AiringState.FINISHED:
            fates[record.state.value, "" if record.state is AiringState.STARTED else record.reason] += 1
    return Week(verdict=performance.verdict, commits=commits, dues=len(performance.evidence.dues), fates=fates)


def _told(week: Week, performance: Performance) -> Iterator[str]:
    """What the checkers and the records say, in some lines."""
    verdict = week.verdict
    records = len(performance.evidence.records)
    yield (
        f"{verdict.simulated_s / 86_400:.1f} ngày trong · days in {verdict.took_s:.0f} s: {records} bản ghi · records, "
        f"{week.commits} lần ghi SQLite · commits"
    )
    for (state, reason), count in sorted(week.fates.items()):
        yield f"  {count:4d}  {state}{f' ({reason})' if reason else ''}"
    sounds = [heard for facts in performance.evidence.poles.values() for heard in facts.heard]
    yield (
        f"nghe thật {len(sounds)} lần · heard at the horns; trái quy tắc · against the rules (giờ yên lặng, hạn mức, "
        "tin cũ, bản ghi mất hay trùng, lệch quá 1 s · quiet hours, limits, stale, lost or doubled records, over 1 s): "
        f"{len(verdict.violations)}"
    )
    for violation in verdict.violations:
        at = clock_of(violation.at_ns, verdict.time_zone)
        yield f"  {at} {violation.pole} {violation.checker}: {violation.evidence}"


@contextlib.contextmanager
def _controller(site: DemoSite, settings: dict[str, Any], performance: Performance, *, say: Say) -> Iterator[Path]:
    """The real controller on what the week left, until its page knows every node again; its configuration."""
    claims = PortClaims()
    ported = replace(site, ports=free_ports(0, choose=claims.claim))
    write_site(ported, feeds={}, playlists=[])
    keys = {node.id: node.report_key for node in performance.province.config.nodes}
    config = yaml.safe_load(ported.controller_configuration.read_text(encoding="utf-8"))
    nodes = [{**node, "report_key": keys[node["id"]], "quiet_hours": {}} for node in config["nodes"]]
    text = yaml.safe_dump({**config, **settings, "nodes": nodes}, allow_unicode=True, sort_keys=False)
    ported.controller_configuration.write_text(text, encoding="utf-8")
    children = Children(ported.logs)
    try:
        say("Máy chủ thật chạy trên dữ liệu của tuần ấy · the real controller starts on what the week left")
        children.start(CONTROLLER, ported.controller_command())
        _await_plan(ported, children)
        yield ported.controller_configuration
    finally:
        children.stop()
        claims.release()


def _await_plan(site: DemoSite, children: Children) -> None:
    """Return when the controller answers and has taken in what is planned; raises TownError."""
    console = Console(port=site.ports.console, token_file=site.token_file)
    deadline = time.monotonic() + READY_S_MAX
    while time.monotonic() < deadline:
        with contextlib.suppress(ConsoleError):
            if console.plan(DARK_POLE)["items"]:
                return
        children.watch()
        time.sleep(_POLL_S)  # a process that starts tells nobody when it answers
    log = children[CONTROLLER].log
    raise TownError(f"the controller did not come up within {READY_S_MAX:.0f} s\n{log}:\n{last_lines(log)}")


def _commands(config: Path, begins: dt.datetime) -> list[list[str]]:
    ends = begins + dt.timedelta(minutes=_MINUTES)
    period = ["--from", f"{begins:%Y-%m-%d}", "--until", f"{ends:%Y-%m-%d}"]
    printed = str(config.parent / "bao-cao-tuan.pdf")
    return [
        ["plan", "show", str(config), "--pole", "N003", "--days", "7"],
        ["report", str(config), "--area", COMMUNE, *period],
        ["report", str(config), "--area", COMMUNE, *period, "--format", "pdf", "--output", printed],
    ]


def _output(words: list[str]) -> str:
    """What one of the product's commands prints; raises TownError when it fails."""
    command = [str(Path(sys.executable).parent / SCRIPT), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S_MAX, check=False)
    except subprocess.TimeoutExpired as error:
        raise TownError(f"{' '.join(command)} took longer than {COMMAND_S_MAX:.0f} s") from error
    if done.returncode:
        raise TownError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.rstrip()
