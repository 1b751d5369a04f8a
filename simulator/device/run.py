"""The bench's scenario: one after the other what a device must do on a pole, judged by what was heard and seen.

Ears and the eye on the relay are the bench's own; only whether it connects, has what it needs, and how often it
refused something is taken from its status. Each wait has a bound; what does not come is a line that failed.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, NS_PER_S, SharedNs
from simulator.bench_site import CLIP, COMMUNE
from simulator.demo import evidence
from simulator.demo.clips import read_wav
from simulator.demo.console import ConsoleError
from simulator.demo.findings import PATTERN_SAMPLES, POWER_TOLERANCE_NS
from simulator.demo.site import TIME_ZONE, next_whole_second
from simulator.device.bench import NODE, Bench, BenchError, BenchOptions, Say
from simulator.device.sheet import Check, Sheet, check

CONNECT_S_MAX: Final = 60.0
HARDWARE_S_MAX: Final = 600.0
"""A technician needs some minutes to copy files and type."""
PLAN_S: Final = 6.0
"""From writing the plan to its first item: the controller starts anew and the device fetches two files."""
ON_TIME_MS_MAX: Final = 150.0
LIKENESS_MIN: Final = 0.5
LEVEL_DBFS: Final = (-32.0, -10.0)
"""Around the -20 dBFS to which the controller levels; a line-in is set to it once."""
EMERGENCY_MS_MAX: Final = 1_000.0
"""Lead and warm-up are 450 of it."""
MUSIC_S: Final = 6.0
EMERGENCY_AT_S: Final = 2.0
ALL_CLEAR_AT_S: Final = 5.0
PLAYLIST_S: Final = 11.0
HOLD_S: Final = 3.5
SILENCE_S: Final = 3.0
RECOVERY_S_MAX: Final = 60.0
GONE_S: Final = 2.0
"""Silence longer than the pause between two repetitions of an emergency (1 s): the device is really off."""
MQTT_S_MAX: Final = 10
MINUTES: Final = 10
_POLL_S: Final = 0.2
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_GAP_MS_MAX: Final = 60


def run_bench(folder: Path, options: BenchOptions, *, say: Say) -> Sheet:
    """The whole sheet of one device; nothing is left running."""
    bench = Bench(folder, options, say)
    try:
        bench.start()
        return _Scenario(bench).run()
    finally:
        bench.stop()


class _Scenario:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._checks: list[Check] = []
        self._wait_s = CONNECT_S_MAX if bench.options.is_process else HARDWARE_S_MAX
        self._recorded = b""

    def run(self) -> Sheet:
        """Do all of it; a device that never connects gets one line."""
        if self._connects():
            due_ns = self._plan()
            self._programme(due_ns)
            self._refusals()
            self._recovery()
            self._power()
        return Sheet(target=self._bench.options.target, checks=tuple(self._checks))

    def _add(self, name: str, *, ok: bool, measured: str) -> None:
        self._checks.append(check(name, ok=ok, measured=measured))
        self._bench.say(f"{'ok  ' if ok else 'FAIL'} {name}: {measured}")

    def _connects(self) -> bool:
        begin_s = time.monotonic()
        is_ready = self._until(lambda: self._seen().get("state") == "ready", self._wait_s)
        self._add("connects", ok=is_ready, measured=f"{time.monotonic() - begin_s:.1f} s")
        return is_ready

    def _plan(self) -> SharedNs:
        """Plan two files for soon, late enough that the device has them by then."""
        due_ns = next_whole_second(time.time_ns(), in_s=PLAN_S)
        due = datetime.fromtimestamp(due_ns // NS_PER_S, tz=ZoneInfo(TIME_ZONE))
        music, news = self._bench.site.clips.playlist
        begin_s = time.monotonic()
        self._bench.plan_programme(
            {
                "id": "bench",
                "title": "Bài kiểm tra",
                "area": COMMUNE,
                "at": due.strftime("%H:%M:%S"),
                "days": [_WEEKDAYS[due.weekday()]],
                "items": [{"file": str(music)}, {"file": str(news)}],
            }
        )

        def has_all() -> bool:
            seen = self._seen()
            return seen.get("plan_until_ms") is not None and seen.get("media_missing") == 0

        is_taken = self._until(has_all, PLAN_S * 2)
        self._add("assignment", ok=is_taken, measured=f"{time.monotonic() - begin_s:.1f} s")
        return due_ns

    def _programme(self, due_ns: SharedNs) -> None:
        """Music on time, an emergency over its end, and the news where they are due, as if nothing had been."""
        music, news = (read_wav(path)[:PATTERN_SAMPLES] for path in self._bench.site.clips.playlist)
        self._sleep_until(due_ns, EMERGENCY_AT_S)
        pressed_ns = SharedNs(time.time_ns())
        emergency = self._press()
        self._recorded = self._record_order()
        self._sleep_until(due_ns, ALL_CLEAR_AT_S)
        cleared_ns = SharedNs(time.time_ns())
        self._clear(emergency)
        self._sleep_until(due_ns, PLAYLIST_S + HOLD_S)
        self._found("on_time", music, due_ns, allowed_ms=ON_TIME_MS_MAX)
        self._level_and_gaps(due_ns, pressed_ns)
        flood = read_wav(self._bench.site.clips.flood)[:PATTERN_SAMPLES]
        self._found("emergency", flood, pressed_ns, allowed_ms=EMERGENCY_MS_MAX, until_ns=cleared_ns)
        self._found("all_clear", news, _later(due_ns, MUSIC_S), allowed_ms=ON_TIME_MS_MAX)

    def _level_and_gaps(self, begin_ns: SharedNs, end_ns: SharedNs) -> None:
        capture = self._bench.listener.capture(NODE)
        begin_ns = _later(begin_ns, ON_TIME_MS_MAX / 1000)
        level = evidence.level_dbfs(capture, begin_ns=begin_ns, end_ns=end_ns)
        low, high = LEVEL_DBFS
        self._add("level", ok=level is not None and low <= level <= high, measured=f"{level} dBFS ({low:g} … {high:g})")
        gaps = evidence.gaps(capture, begin_ns=begin_ns, end_ns=end_ns)
        longest = max((gap.length_ms for gap in gaps), default=0)
        self._add("unbroken", ok=not gaps, measured=f"{len(gaps)} ≥ {_GAP_MS_MAX} ms, max {longest} ms")

    def _found(
        self,
        name: str,
        pattern: NDArray[np.int16],
        at_ns: SharedNs,
        *,
        allowed_ms: float,
        until_ns: SharedNs | None = None,
    ) -> None:
        """A line about a clip that should begin at an instant."""
        capture = self._bench.listener.capture(NODE)
        before_ns = until_ns or _later(at_ns, MUSIC_S)
        match = evidence.find_clip(capture, pattern, after_ns=_later(at_ns, -1), before_ns=before_ns)
        if match is None:
            self._add(name, ok=False, measured="không nghe thấy · not heard")
            return
        late_ms = (match.at_ns - at_ns) / NS_PER_MS
        is_good = match.likeness >= LIKENESS_MIN and abs(late_ms) <= allowed_ms
        self._add(name, ok=is_good, measured=f"{late_ms:+.0f} ms, giống · likeness {match.likeness:.2f}")

    def _refusals(self) -> None:
        """A recorded order once more, and one whose bytes were changed: counted by the device, and not heard."""
        forged = self._recorded[:-1] + bytes([self._recorded[-1] ^ 1]) if self._recorded else b""
        for name, payload in (("replayed", self._recorded), ("forged", forged)):
            before = self._refused()
            begin_ns = SharedNs(time.time_ns())
            if payload:
                self._publish(payload)
            time.sleep(SILENCE_S)
            counted = self._more_refused_than(before)
            end_ns = SharedNs(time.time_ns())
            heard_ms = evidence.sounding_ms(self._bench.listener.capture(NODE), begin_ns=begin_ns, end_ns=end_ns)
            self._add(
                name,
                ok=bool(payload) and counted > 0 and heard_ms == 0,
                measured=f"từ chối · refused {counted}, nghe · heard {heard_ms} ms",
            )

    def _recovery(self) -> None:
        """A device that loses its power in an emergency sounds it again by itself."""
        emergency = self._press()
        pressed_ns = SharedNs(time.time_ns())
        sounded = self._until(lambda: self._is_heard_since(pressed_ns), MQTT_S_MAX)
        self._bench.cut_power()
        gone = self._until(lambda: not self._is_heard_since(_later(SharedNs(time.time_ns()), -GONE_S)), self._wait_s)
        begin_ns = SharedNs(time.time_ns())
        if self._bench.options.is_process:
            self._bench.start_device()
        is_back = sounded and gone and self._until(lambda: self._is_heard_since(begin_ns), self._wait_s)
        took_s = (time.time_ns() - begin_ns) / NS_PER_S
        time.sleep(1.0)
        self._clear(emergency)
        limit_s = RECOVERY_S_MAX if self._bench.options.is_process else HARDWARE_S_MAX
        self._add("recovery", ok=is_back and took_s <= limit_s, measured=f"{took_s:.1f} s")
        time.sleep(HOLD_S)

    def _power(self) -> None:
        """Over the whole run: no sound without power, no power left at the end, and not without a reason."""
        changes = self._bench.relay_changes()
        if not changes:
            self._add("power", ok=False, measured="không có dữ liệu rơ le · nobody looked at the relay")
            return
        capture, until_ns = self._bench.listener.capture(NODE), SharedNs(time.time_ns())
        unpowered = evidence.unpowered_sound_ms(capture, changes, tolerance_ns=POWER_TOLERANCE_NS, until_ns=until_ns)
        silent = [
            (begin, end)
            for begin, end in evidence.powered_intervals(changes, until_ns=until_ns)
            if evidence.sounding_ms(capture, begin_ns=begin, end_ns=end) == 0
        ]
        is_off = not changes[-1].is_on
        self._add(
            "power",
            ok=unpowered == 0 and not silent and is_off,
            measured=f"không điện · unpowered {unpowered} ms, thừa · idle {len(silent)}, cuối · end {int(not is_off)}",
        )

    def _press(self) -> str:
        deadline_s = time.monotonic() + MQTT_S_MAX
        while True:
            try:
                return self._bench.site.console.start_emergency(area=COMMUNE, clip=CLIP, minutes=MINUTES)
            except ConsoleError as error:
                if time.monotonic() > deadline_s:
                    raise BenchError(f"the bench's controller does not take an emergency: {error}") from error
                time.sleep(_POLL_S)

    def _clear(self, emergency: str) -> None:
        self._bench.site.console.all_clear(emergency, reason="kiểm tra thiết bị")

    def _is_heard_since(self, begin_ns: SharedNs) -> bool:
        capture = self._bench.listener.capture(NODE)
        return evidence.sounding_ms(capture, begin_ns=begin_ns, end_ns=SharedNs(time.time_ns())) > 0

    def _seen(self) -> dict[str, Any]:
        try:
            return self._bench.seen()
        except ConsoleError:
            return {}

    def _more_refused_than(self, before: int) -> int:
        """How many more were refused, as soon as the device's status says so."""
        self._until(lambda: self._refused() > before, MQTT_S_MAX)
        return self._refused() - before

    def _refused(self) -> int:
        return sum((self._seen().get("refused") or {}).values())

    def _record_order(self) -> bytes:
        """The standing order as anybody on the broker may read it."""
        done = self._mqtt("mosquitto_sub", "-C", "1", "-W", str(MQTT_S_MAX), "-F", "%x")
        return bytes.fromhex(done.strip().decode()) if done.strip() else b""

    def _publish(self, payload: bytes) -> None:
        path = self._bench.folder / "order.bin"
        path.write_bytes(payload)
        self._mqtt("mosquitto_pub", "-q", "1", "-f", str(path))

    def _mqtt(self, program: str, *options: str) -> bytes:
        """Debian's own client, with the controller's certificate but a name of its own."""
        pki, port = self._bench.folder / "pki", self._bench.site.broker.services_port
        command = [program, "-h", "localhost", "-p", str(port), "-V", "mqttv5", "-i", "bench"]
        command += ["--cafile", str(pki / "ca.pem"), "--cert", str(pki / "controller.pem")]
        command += ["--key", str(pki / "controller.key"), "-t", topic(TopicName.EMERGENCY, area=COMMUNE), *options]
        try:
            return subprocess.run(command, check=False, capture_output=True, timeout=MQTT_S_MAX * 2).stdout
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BenchError(f"{program} cannot be run ({error}); install mosquitto-clients") from error

    def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline_s = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(_POLL_S)
        return True

    def _sleep_until(self, at_ns: SharedNs, seconds: float) -> None:
        time.sleep(max(0.0, (_later(at_ns, seconds) - time.time_ns()) / NS_PER_S))


def _later(at_ns: SharedNs, seconds: float) -> SharedNs:
    return SharedNs(at_ns + round(seconds * NS_PER_S))
