"""Compiling the coming days of a province's programmes, and how large a plan is, beside plain dateutil and JSON.

Each area has its own programmes: most daily, some on certain days of the week, one without public holidays, one on rằm
and mùng một. Ours is `compile_area`, from ready programmes to what is signed or fetched by hash. The peer expands the
same rules with `dateutil.rrule` and writes JSON: without the lunar one, which it has not; of fewer areas, for it takes
a while; and with rules that begin in this year, for it goes through every date from their begin on. CPU time of this
process (`time.process_time`), so that others on the machine do not count. Run: `./scripts/bench plan_compile`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import sys
import time
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dateutil.rrule import rrulestr

from benchmarks.measure import print_table, quantile
from controller.planning.compile import COMPILED_MS, Compiled, compile_area
from controller.planning.dry_run import Pole, dry_run
from controller.programmes.programme import ReadyItem, ReadyProgramme, Recurrence, weekly
from controller.programmes.recurrence import HolidayRule
from protocol.codec import cbor_encode
from protocol.house_rules import HouseRules
from protocol.identity import area_audience
from protocol.messages import AirTime, BroadcastClass, MediaReference, Plan, QuietHours
from protocol.plan_body import decode_body
from protocol.units import SharedMs

ZONE: Final = "Asia/Ho_Chi_Minh"
NOW_MS: Final = SharedMs(1_795_300_000_000)
"""2026-11-22, 05:26 in Hà Nội."""
CPU_S_MAX: Final = 10.0
BODY_BYTES_MAX: Final = 32_000
ITEM_MS: Final = 60_000
LUNAR: Final = Recurrence(
    rules="DTSTART:20000101T050000\nRRULE:RSCALE=X-VIETNAMESE;FREQ=MONTHLY;BYMONTHDAY=1,15",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one side took."""

    cpu_s: float
    occurrences: int
    sizes: list[int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--areas", type=int, default=3_000, help="areas (default: 3000)")
    parser.add_argument("--programmes", type=int, default=20, help="programmes of each area (default: 20)")
    parser.add_argument("--items", type=int, default=1, help="items of each programme (default: 1)")
    parser.add_argument("--peer-areas", type=int, default=30, help="areas that the peer compiles (default: 30)")
    options = parser.parse_args(arguments)
    province = [list(programmes_of(area, options.programmes, options.items)) for area in range(options.areas)]
    ours, last = measure_ours(province)
    peer = measure_peer(province[: options.peer_areas])
    decode_ms, run_ms = measure_reading(last)
    print_table(
        f"{options.areas} areas x {options.programmes} programmes x {options.items} items, 8 days",
        [_row("loaxa compile_area", ours), _row(f"dateutil + json, {options.peer_areas} areas", peer)],
        note=f"targets: <= {CPU_S_MAX:.0f} s for 3000 areas, <= {BODY_BYTES_MAX} bytes a commune. On this machine a "
        f"node reads its plan in {decode_ms:.1f} ms, and a dry run of its days takes {run_ms:.0f} ms",
    )
    return 0 if ours.cpu_s <= CPU_S_MAX and max(ours.sizes) <= BODY_BYTES_MAX else 1


def programmes_of(area: int, count: int, items: int) -> Iterator[ReadyProgramme]:
    """One area's programmes, as the desk hands them over."""
    for number in range(count):
        at = f"{5 + number // 2 % 16:02}:{30 * (number % 2):02}"
        recurrence = weekly(at)
        if number % 5 == 1:
            recurrence = weekly(at, ("mon", "wed", "fri"))
        elif number % 20 == 7:  # noqa: PLR2004 - one of twenty
            recurrence = Recurrence(rules=recurrence.rules, holidays=HolidayRule.SKIP)
        elif number % 20 == 12:  # noqa: PLR2004 - one of twenty
            recurrence = LUNAR
        yield ReadyProgramme(
            id=f"ban-tin-{number:02}",
            title=f"Chương trình phát thanh số {number}",
            area=f"xa-{area:04}",
            broadcast_class=BroadcastClass.PRIORITY if number % 4 == 0 else BroadcastClass.ROUTINE,
            recurrence=recurrence,
            items=tuple(item_of(area, number, index) for index in range(items)),
        )


def item_of(area: int, programme: int, index: int) -> ReadyItem:
    """A file that no other item has."""
    sha256 = hashlib.sha256(f"{area}/{programme}/{index}".encode()).hexdigest()
    media = MediaReference(sha256=sha256, size_bytes=480_000, duration_ms=ITEM_MS)
    return ReadyItem(title=f"Bản tin {programme}.{index} của xã {area}", duration_ms=ITEM_MS, media=media, number=index)


def measure_ours(province: Sequence[Sequence[ReadyProgramme]]) -> tuple[Measured, Compiled]:
    """Compile every area; also the last one's result."""
    sizes, occurrences = [], 0
    began_s = time.process_time()
    for programmes in province:
        compiled = compile_area(programmes, time_zone=ZONE, now_ms=NOW_MS)
        occurrences += len(compiled.occurrences)
        sizes.append(len(compiled.content))
    cpu_s = time.process_time() - began_s
    inline = len(cbor_encode(compiled.inline)) if compiled.body is None else 0
    return Measured(cpu_s=cpu_s, occurrences=occurrences, sizes=[size or inline for size in sizes]), compiled


def measure_peer(province: Sequence[Sequence[ReadyProgramme]]) -> Measured:
    """The same rules by dateutil alone, each occurrence a JSON object."""
    sizes, occurrences = [], 0
    zone = zoneinfo.ZoneInfo(ZONE)
    first = dt.datetime.fromtimestamp(NOW_MS / 1000, tz=zone).replace(tzinfo=None)
    last = first + dt.timedelta(milliseconds=COMPILED_MS)
    began_s = time.process_time()
    for programmes in province:
        plan: list[dict[str, Any]] = []
        for programme in programmes:
            if programme.recurrence is LUNAR:
                continue
            for begin in rrulestr(this_year(programme.recurrence.rules)).between(first, last, inc=True):
                at_ms = int(begin.replace(tzinfo=zone).timestamp() * 1000)
                for index, item in enumerate(programme.items):
                    media = item.media
                    plan.append(
                        {
                            "id": f"{programme.id}.{begin:%Y%m%d}.{index}",
                            "programme": programme.id,
                            "title": item.title,
                            "class": programme.broadcast_class.value,
                            "start": at_ms + index * ITEM_MS,
                            "duration": item.duration_ms,
                            "media": "" if media is None else media.sha256,
                            "size": 0 if media is None else media.size_bytes,
                        }
                    )
        occurrences += len(plan)
        sizes.append(len(json.dumps(plan, ensure_ascii=False).encode()))
    return Measured(cpu_s=time.process_time() - began_s, occurrences=occurrences, sizes=sizes)


def this_year(rules: str) -> str:
    """The same rules from the begin of this year on."""
    return rules.replace("DTSTART:2000", "DTSTART:2026")


def measure_reading(compiled: Compiled) -> tuple[float, float]:
    """Milliseconds of CPU for reading a body, and for a dry run of a week."""
    began_s = time.process_time()
    occurrences = decode_body(compiled.content) if compiled.content else compiled.occurrences
    read_s = time.process_time()
    plan = Plan(
        id="plan",
        issuer="bench",
        audience=area_audience("xa"),
        counter=1,
        not_before_ms=NOW_MS,
        expires_at_ms=compiled.covers_until_ms,
        area="xa",
        covers_from_ms=NOW_MS,
        covers_until_ms=compiled.covers_until_ms,
        occurrences=occurrences,
    )
    rules = HouseRules(time_zone=ZONE, quiet_hours=QuietHours(), air_time=AirTime(minutes_a_day_max=60))
    dry_run(Pole(node="N001", areas=("xa",), rules=rules), [plan], from_ms=NOW_MS, until_ms=compiled.covers_until_ms)
    done_s = time.process_time()
    return (read_s - began_s) * 1000, (done_s - read_s) * 1000


def _row(name: str, measured: Measured) -> dict[str, str]:
    return {
        "": name,
        "CPU s": f"{measured.cpu_s:.2f}",
        "us an occurrence": f"{1e6 * measured.cpu_s / max(1, measured.occurrences):.1f}",
        "occurrences": f"{measured.occurrences}",
        "plan bytes p50": f"{quantile(measured.sizes, 0.5):.0f}",
        "plan bytes max": f"{max(measured.sizes)}",
    }


if __name__ == "__main__":
    sys.exit(main())
