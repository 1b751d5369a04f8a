"""What a self-test says of amplifier, horn and cable, against the reference that was taken at installation.

Pure. As far as sensors can tell things apart: a microphone says that the horn sounds and how; a tap behind the
amplifier, or its current, says that the amplifier drives; both together tell a broken amplifier from a broken horn.

    microphone   amplifier (tap, current)   verdict
    heard        -                          passed; weak or changed against the reference; short with twice the current
    not heard    drives as it did           horn
    not heard    drives with twice          short
    not heard    does not drive             amplifier
    not heard    cannot be said             silent; noisy when the noise around covers what the reference heard
    none         tap heard, current fell    horn (nothing takes the power)
    none         drives                     passed, as far as the amplifier
    none         does not drive             amplifier
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from edge.proof.ears import Swept
from edge.proof.sweep import SENT_MIN, SweepMeasure
from protocol.messages import Heard, HeardBy, SelfTestVerdict

WEAK_DB: Final = -6.0
"""Half the sound pressure: of two horns one is silent, or a membrane is torn."""
BAND_DB: Final = 9.0
"""So much may one band differ from the others' change: rain on a horn and a door that stands open make 3 to 6 dB."""
SHORT_RATIO: Final = 1.8
OPEN_RATIO: Final = 0.35
"""Of the reference's current: less than this goes into nothing but the amplifier's own losses."""
COVERED_DB: Final = 18.0
"""Noise this much above what the reference heard hides it: the sweep is found down to some 22 dB below."""
LEVEL_MIN_DBFS: Final = -110.0


class SensorReference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one sensor gave at installation."""

    by: HeardBy
    level_dbfs: float
    delay_ms: float
    bands_db: Annotated[tuple[float, ...], Meta(max_length=16)]


class Reference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a self-test gave at installation, and how loud it was played."""

    at_ms: int
    gain_db: float
    sensors: Annotated[tuple[SensorReference, ...], Meta(max_length=2)] = ()
    rise_amperes: float | None = None

    def of(self, by: HeardBy) -> SensorReference | None:
        """A sensor's."""
        return next((each for each in self.sensors if each.by is by), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A verdict, why, and the figures that it rests on."""

    verdict: SelfTestVerdict
    detail: str
    heard: Heard | None = None
    noise_dbfs: float | None = None
    level_change_db: float | None = None
    bands_change_db: tuple[float, ...] = ()
    current_change: float | None = None


def reference_of(swept: Swept, *, at_ms: int, gain_db: float) -> Reference | None:
    """A test as reference; None if nothing was heard or driven that later ones could be compared with."""
    sensors = tuple(
        SensorReference(by=each.by, level_dbfs=each.level_dbfs, delay_ms=each.delay_ms, bands_db=each.bands_db)
        for each in swept.measures
        if each.is_heard
    )
    current = swept.current
    amperes = current.rise_amperes if current is not None and current.is_driven else None
    if not sensors and amperes is None:
        return None
    return Reference(at_ms=at_ms, gain_db=gain_db, sensors=sensors, rise_amperes=amperes)


def find(swept: Swept, reference: Reference | None, *, gain_db: float) -> Finding:
    """Judge a test; `gain_db` is how loud it was played."""
    if swept.sent_share < SENT_MIN:
        return Finding(
            verdict=SelfTestVerdict.NOT_RUN,
            detail=f"only {100 * max(0.0, swept.sent_share):.0f} % of the sweep was rendered: something took the air",
        )
    if not swept.measures and swept.current is None:
        return Finding(verdict=SelfTestVerdict.NO_SENSOR, detail="no sensor gave anything: see `loaxa-edge check`")
    microphone = _of(swept, HeardBy.MICROPHONE)
    main = microphone or _of(swept, HeardBy.TAP)
    change = _current_change(swept, reference)
    verdict, detail = _by_microphone(swept, microphone, reference, gain_db, change)
    level_change_db, bands_change_db = _changes(main, reference, gain_db)
    return Finding(
        verdict=verdict,
        detail=detail,
        heard=_heard(main, swept),
        noise_dbfs=None if main is None else _bounded(main.noise_dbfs),
        level_change_db=level_change_db,
        bands_change_db=bands_change_db,
        current_change=change,
    )


def _by_microphone(
    swept: Swept, microphone: SweepMeasure | None, reference: Reference | None, gain_db: float, change: float | None
) -> tuple[SelfTestVerdict, str]:
    drives = _drives(swept)
    is_short = change is not None and change >= SHORT_RATIO
    if microphone is None:
        return _without_microphone(swept, reference, gain_db, change, drives=drives)
    if microphone.is_heard:
        if is_short:
            return (
                SelfTestVerdict.SHORT,
                f"the amplifier takes {change:.1f} times its current: part of the cable is shorted",
            )
        return _against(microphone, reference, gain_db)
    if is_short:
        return (
            SelfTestVerdict.SHORT,
            f"nothing is heard and the amplifier takes {change:.1f} times its current: shorted cable",
        )
    if drives:
        return SelfTestVerdict.HORN, "the amplifier drives, and nothing is heard: horn or cable"
    if drives is False:
        return (
            SelfTestVerdict.AMPLIFIER,
            "nothing is heard, and the amplifier does not drive: amplifier, fuse or supply",
        )
    known = None if reference is None else reference.of(HeardBy.MICROPHONE)
    if known is not None and microphone.noise_dbfs > known.level_dbfs + COVERED_DB:
        return SelfTestVerdict.NOISY, f"noise of {microphone.noise_dbfs:.0f} dBFS covers what the reference heard"
    return SelfTestVerdict.SILENT, "nothing is heard; one microphone cannot tell amplifier from horn, or its own fault"


def _without_microphone(
    swept: Swept, reference: Reference | None, gain_db: float, change: float | None, *, drives: bool | None
) -> tuple[SelfTestVerdict, str]:
    tap = _of(swept, HeardBy.TAP)
    if change is not None and change >= SHORT_RATIO:
        return SelfTestVerdict.SHORT, f"the amplifier takes {change:.1f} times its current: shorted cable"
    is_open = change is not None and change <= OPEN_RATIO
    if is_open and tap is not None and tap.is_heard:
        return SelfTestVerdict.HORN, "the amplifier drives, and nothing takes its power: horn or cable is open"
    if is_open:
        return SelfTestVerdict.SILENT, "the amplifier takes hardly any current: itself, its horn or the cable"
    if not drives:
        return SelfTestVerdict.AMPLIFIER, "the amplifier does not drive: amplifier, fuse or supply"
    if tap is not None:
        verdict, detail = _against(tap, reference, gain_db)
        return verdict, f"{detail} (at the amplifier; the horn itself is not listened to)"
    if reference is None or reference.rise_amperes is None:
        return (
            SelfTestVerdict.NO_REFERENCE,
            "the amplifier drives; take a reference: loaxa-edge self-test --take-reference",
        )
    return SelfTestVerdict.PASSED, "the amplifier takes the current that it took at installation"


def _against(found: SweepMeasure, reference: Reference | None, gain_db: float) -> tuple[SelfTestVerdict, str]:
    level_change_db, bands_change_db = _changes(found, reference, gain_db)
    if level_change_db is None:
        return SelfTestVerdict.NO_REFERENCE, "heard; take a reference: loaxa-edge self-test --take-reference"
    middle = sorted(bands_change_db)[len(bands_change_db) // 2] if bands_change_db else 0.0
    odd = max((abs(each - middle) for each in bands_change_db), default=0.0)
    if odd >= BAND_DB:
        return (
            SelfTestVerdict.CHANGED,
            f"one band differs by {odd:.0f} dB from installation: torn membrane, water, a loose part",
        )
    if level_change_db <= WEAK_DB:
        return SelfTestVerdict.WEAK, f"{-level_change_db:.0f} dB weaker than at installation"
    return SelfTestVerdict.PASSED, f"as at installation, within {max(abs(level_change_db), odd):.1f} dB"


def _changes(
    found: SweepMeasure | None, reference: Reference | None, gain_db: float
) -> tuple[float | None, tuple[float, ...]]:
    """How the level and each band differ from the reference; a test that was played louder by design is no change."""
    known = None if found is None or reference is None else reference.of(found.by)
    if found is None or reference is None or known is None or not found.is_heard:
        return None, ()
    level_change_db = found.level_dbfs - known.level_dbfs - (gain_db - reference.gain_db)
    pairs = zip(found.bands_db, known.bands_db, strict=False)
    return round(level_change_db, 1), tuple(round(_bounded(now - then), 1) for now, then in pairs)


def _drives(swept: Swept) -> bool | None:
    """Whether the amplifier gives power, by its tap or its current; None if neither is there."""
    tap = _of(swept, HeardBy.TAP)
    if tap is not None:
        return tap.is_heard
    return None if swept.current is None else swept.current.is_driven


def _current_change(swept: Swept, reference: Reference | None) -> float | None:
    if swept.current is None or reference is None or not reference.rise_amperes:
        return None
    return round(max(0.0, swept.current.rise_amperes / reference.rise_amperes), 2)


def _heard(main: SweepMeasure | None, swept: Swept) -> Heard | None:
    current = swept.current
    amperes = None if current is None else round(current.rise_amperes, 3)
    if main is None:
        return None if current is None else Heard(by=HeardBy.CURRENT, is_heard=current.is_driven, amperes=amperes)
    return Heard(
        by=main.by,
        is_heard=main.is_heard,
        level_dbfs=_bounded(main.level_dbfs) if main.is_heard else None,
        likeness=min(1.0, max(0.0, main.likeness)),
        delay_ms=main.delay_ms if main.is_heard else None,
        amperes=amperes,
    )


def _of(swept: Swept, by: HeardBy) -> SweepMeasure | None:
    return next((each for each in swept.measures if each.by is by), None)


def _bounded(value_db: float) -> float:
    return max(-199.0, min(99.0, value_db))


def encode(reference: Reference) -> bytes:
    """As it stands in the node's store."""
    return msgspec.json.encode(reference)


def decode(note: bytes | None) -> Reference | None:
    """From the node's store; None if there is none, or it cannot be read."""
    if note is None:
        return None
    try:
        return msgspec.json.decode(note, type=Reference)
    except msgspec.MsgspecError:
        return None
