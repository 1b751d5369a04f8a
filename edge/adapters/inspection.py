"""`loaxa-edge check` and `show`: what a technician asks a node, without starting it.

`check` reads everything that a start needs, and looks for the sound device. `show` reads the database beside a
running node, verifies what stands in it as the node would, and prints it in words. Neither changes anything.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from edge.adapters.certificate import check_certificate
from edge.adapters.clock_file import read_record
from edge.adapters.config_file import read_config
from edge.adapters.decoder import LibopusDecoder
from edge.adapters.enrolment_verb import enrolment_lines, is_enrolled
from edge.adapters.gpio_lines import PinFactory, PinSettings, pin_settings
from edge.adapters.hardware import read_machine
from edge.adapters.hearing_lines import check_lines, show_lines
from edge.adapters.media import media_folder, present_in
from edge.adapters.policy_lines import policy_lines
from edge.adapters.port_audio import PortAudioOutput
from edge.adapters.preflight import Prepared, prepare
from edge.adapters.store import read_only
from edge.adapters.trusted_clock import TrustedClock
from edge.assignment import Place, nowhere
from edge.clock.record import clock_lines
from edge.config import EdgeConfig
from edge.documents.documents import Documents
from edge.errors import ConfigurationError, DecoderError, SoundError
from edge.events import Restored
from edge.guard import Guard
from edge.player.program import Program
from protocol.adapters.system_clock import explain_clock, read_discipline, read_now
from protocol.candidate import Candidate
from protocol.messages import AllClear, AnyDocument, Emergency, Keyset, Plan, Silence
from protocol.units import Now

OCCURRENCES_SHOWN_MAX: Final = 40
"""What fits two screens of a telephone; the rest is counted."""
_CHIPS: Final = Path("/dev")


def check(path: Path) -> tuple[bool, list[str]]:
    """Whether a node could start with this configuration, and why or why not, line by line."""
    lines: list[str] = []
    try:
        prepared = prepare(path)
    except ConfigurationError as error:
        return False, str(error).splitlines()
    certificate = check_certificate(prepared.config, datetime.now(UTC))
    is_good = not certificate.problems
    lines.append(f"ok: {path} is a configuration of {prepared.config.node}; its files can be read and fit")
    lines += [f"problem: {problem}" for problem in certificate.problems]
    lines += [f"warning: {warning}" for warning in (*prepared.warnings, *certificate.warnings)]
    ears = check_lines(prepared.config.hearing)
    for found_good, line in (_sound(prepared), _codec(), _pin(pin_settings(prepared.config.amplifier)), *ears):
        is_good = is_good and found_good
        lines.append(f"{'ok' if found_good else 'problem'}: {line}")
    lines.append(_clock(prepared.config))
    return is_good, lines


def show(path: Path) -> list[str]:
    """What a node has stored; raises EdgeError."""
    config = read_config(path)
    lines = enrolment_lines(config)
    if config.enrolment.file is not None and not is_enrolled(config):
        return lines
    prepared = prepare(path)
    config = prepared.config
    restored = read_only(Path(config.state_dir))
    box = read_machine(config.enrolment.hardware).box
    guard = Guard(place=nowhere(config.node), root=prepared.root, box=box)
    documents = Documents(guard)
    now = read_now()
    documents.restore(restored.documents, restored.counters, now)
    in_force = [accepted.document for accepted in documents.in_force]
    media = present_in(media_folder(Path(config.state_dir)))
    record, age_s = read_record(config.node, config.state_dir)
    return [
        *lines,
        *_place_lines(guard.place, config, restored, now),
        f"root: version {guard.root.version} ({guard.root.threshold} of {', '.join(guard.root.keys)} must sign)",
        *_keyset_lines(in_force, now),
        *_silence_lines(in_force, guard.place),
        _button_line(config),
        *show_lines(config.hearing, restored),
        *clock_lines(record, age_s=age_s),
        *_emergency_lines(in_force, guard.place),
        *_plan_lines(in_force, guard.place, media, now),
        f"media: {len(media)} files in {media_folder(Path(config.state_dir))}",
        *_report_lines(restored),
        *_not_in_force_lines(restored, documents),
    ]


def _clock(config: EdgeConfig) -> str:
    """What the node goes by before anybody has told it the time."""
    if config.clock.source == "exchange":
        return "ok: the controller tells the time (clock.source); until it does, only emergencies sound"
    is_known = TrustedClock(believes_any=config.clock.believes == "any")().is_time_known
    if is_known:
        return f"{'ok' if read_discipline().is_synchronised else 'warning'}: {explain_clock()}"
    waits = (
        "something has set it" if config.clock.source == "system" else "the controller tells it, or something sets it"
    )
    return f"warning: {explain_clock()}; until {waits}, only emergencies sound (clock.source, clock.believes)"


def _sound(prepared: Prepared) -> tuple[bool, str]:
    sound = prepared.config.sound
    output = PortAudioOutput()
    try:
        name, is_fallback = output.find(sound.device, sound.fallback_device)
    except SoundError as error:
        return False, f"sound: {error}"
    finally:
        output.close(is_broken=True)
    return True, f"sound: {name}" + (" (the fallback: sound.device is not there)" if is_fallback else "")


def _codec() -> tuple[bool, str]:
    try:
        LibopusDecoder()
    except DecoderError as error:
        return False, f"codec: {error}"
    return True, "codec: libopus"


def _pin(settings: PinSettings) -> tuple[bool, str]:
    """Looks for pins without claiming one, for a running node holds it."""
    has_pins = any(_CHIPS.glob("gpiochip*"))
    name = f"amplifier: pin {settings.relay_pin}"
    if settings.pin_factory is PinFactory.MOCK or (settings.pin_factory is PinFactory.AUTO and not has_pins):
        return True, f"{name} of the mock: no relay will click"
    if not has_pins:
        return False, f"{name}: this machine has no pins (/dev/gpiochip*); set amplifier.pin_factory to auto or mock"
    return True, f"{name}, {'high' if settings.active_high else 'low'} powers it"


def _place_lines(place: Place, config: EdgeConfig, restored: Restored, now: Now) -> list[str]:
    if not place.is_assigned:
        return [f"node: {config.node}, not assigned yet: nothing will sound"]
    return [
        f"node: {config.node} {place.title!r}, areas {' < '.join(place.areas)}",
        f"gain: {place.gain_db:+.1f} dB, emergencies {place.emergency_gain_db:+.1f} dB",
        *policy_lines(place, restored, now),
    ]


def _keyset_lines(in_force: list[AnyDocument], now: Now) -> list[str]:
    keysets = [document for document in in_force if isinstance(document, Keyset)]
    if not keysets:
        return ["keys: no keyset yet: nothing can be verified"]
    lines = [f"keys: keyset {keysets[0].counter}"]
    for key in keysets[0].keys:
        state = "revoked" if key.revoked else "expired" if key.expires_at_ms <= now.shared_ms else "valid"
        until = datetime.fromtimestamp(key.expires_at_ms / 1000, UTC)
        lines.append(f"  {key.key_id}: {state} until {until:%Y-%m-%d}, {', '.join(sorted(key.scope.realities))}")
    return lines


def _silence_lines(in_force: list[AnyDocument], place: Place) -> list[str]:
    lines = []
    for document in in_force:
        if isinstance(document, Silence):
            who = f"{document.ordered_by}, {_local(document.not_before_ms, place)}: {document.reason}"
            spared = ", real emergencies sound" if document.spares_emergencies else ""
            box = f", but for the box {document.spared_box}" if document.spared_box else ""
            lines.append(f"SILENCED: im lặng theo lệnh · by order for {document.place} ({who}){spared}{box}")
    return lines


def _button_line(config: EdgeConfig) -> str:
    inputs = config.inputs
    if inputs.stop_pin is None:
        return "stop button: none (inputs.stop_pin)"
    level = "high" if inputs.stop_active_high else "low"
    return f"stop button: pin {inputs.stop_pin}, {level} is pressed, silent for {inputs.stop_minutes} min"


def _emergency_lines(in_force: list[AnyDocument], place: Place) -> list[str]:
    lines = []
    for document in in_force:
        if isinstance(document, Emergency):
            until = _local(document.sounds_until_ms, place)
            lines.append(f"emergency: {document.title!r} ({document.reality.value}) for {document.area} until {until}")
        elif isinstance(document, AllClear):
            lines.append(f"all-clear: {document.emergency} in {document.area}: {document.reason}")
    return lines


def _plan_lines(in_force: list[AnyDocument], place: Place, media: frozenset[str], now: Now) -> list[str]:
    program = Program()
    program.replace([document for document in in_force if isinstance(document, Plan)], place, now.shared_ms)
    if program.until_ms is None:
        return ["plan: none"]
    coming = program.coming
    lines = [f"plan: until {_local(program.until_ms, place)}, {len(coming)} to come"]
    lines += [f"  {_occurrence(candidate, place, media)}" for candidate in coming[:OCCURRENCES_SHOWN_MAX]]
    if len(coming) > OCCURRENCES_SHOWN_MAX:
        lines.append(f"  and {len(coming) - OCCURRENCES_SHOWN_MAX} more")
    return lines


def _occurrence(candidate: Candidate, place: Place, media: frozenset[str]) -> str:
    what = "relay"
    if candidate.media is not None:
        what = "here" if candidate.media.sha256 in media else "MEDIA MISSING"
    seconds = (candidate.ends_at_ms - candidate.starts_at_ms) // 1000
    start = _local(candidate.starts_at_ms, place)
    return f"{start}  {seconds:5d} s  {candidate.broadcast_class.value:9}  {what:13}  {candidate.title}"


def _report_lines(restored: Restored) -> list[str]:
    lines = [f"reports: {len(restored.reports)} not acknowledged yet, last number {restored.last_number}"]
    if restored.open_airing is not None:
        lines.append(f"on air: {restored.open_airing.title!r}, as of the last record")
    return lines


def _not_in_force_lines(restored: Restored, documents: Documents) -> list[str]:
    known = {accepted.topic for accepted in documents.in_force}
    return [f"not in force: {stored.topic}" for stored in restored.documents if stored.topic not in known]


def _local(shared_ms: int, place: Place) -> str:
    return f"{datetime.fromtimestamp(shared_ms / 1000, ZoneInfo(place.time_zone)):%a %Y-%m-%d %H:%M:%S}"
