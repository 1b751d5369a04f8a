"""What thirty days of a pole's records take on its card, and what writing them wears it, without a controller and with.

    ./scripts/bench journal [--items 40] [--days 30]

A pole airs so many items a day; of each the begin and the end are put on record with all their proof, a tenth is
missed, and once a day its horn is tested. Records go through the product's own outbox (numbered, chained, signed) into
its real store, one durable commit each, into a folder on this machine. Printed are the size of the store's files at the
end (6 MB of them are taken ahead at the first start, empty), and what the process hands to the system to write (`wchar`
of /proc/self/io: pages and journal; what a card makes of that inside is its own). Beside it a peer: the same records
unsigned as lines of JSON, each with fsync. Nothing is deleted before an acknowledgement, so "alone" is the worst case;
with a controller each day's are forgotten.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.measure import print_table
from edge.adapters.store import SqliteStore
from edge.effects import ForgetReports, StoreReport
from edge.events import Event
from edge.outbox import Outbox
from edge.proof.judged import NOTE, Judged
from protocol.candidate import planned_key
from protocol.envelope import signer_from_private_key
from protocol.messages import (
    AiringRecord,
    AiringState,
    BroadcastClass,
    Heard,
    HeardBy,
    Reality,
    Record,
    SelfTestRecord,
    SelfTestVerdict,
    SourceKind,
)
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedNs, TimeSource

ANSWER_LOOK_S: Final = 0.0005
DAY_MS: Final = 24 * 3_600_000
BEGIN_MS: Final = 1_800_000_000_000
MB: Final = 1_000_000


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=40, help="items a day (40)")
    parser.add_argument("--days", type=int, default=30, help="days (30)")
    options = parser.parse_args()
    rows = [
        run_store(options.items, options.days, is_alone=True),
        run_store(options.items, options.days, is_alone=False),
        run_lines(options.items, options.days),
    ]
    print_table(f"{options.days} days of {options.items} items a day", rows)
    return 0


def run_store(items: int, days: int, *, is_alone: bool) -> dict[str, str]:
    """The product's own."""
    with tempfile.TemporaryDirectory(prefix="loaxa-journal-") as folder:
        answers: list[Event] = []
        store = SqliteStore(Path(folder), post=answers.append)
        outbox = Outbox(node="N001", signer=signer_from_private_key("report", Ed25519PrivateKey.generate()))
        outbox.restore(store.load(), now_of(BEGIN_MS))
        judged = Judged()
        judged.settle((), now_of(BEGIN_MS))
        began, written, records = time.process_time(), written_bytes(), 0
        sizes = 0
        for day in range(days):
            numbers = []
            for record, settles in records_of(items, day):
                if settles is not None:
                    judged.recorded(*settles)
                note = None if settles is None else (NOTE, judged.note)
                for effect in outbox.append(record, note=note):
                    if isinstance(effect, StoreReport):
                        store.ask(effect)
                        numbers.append(effect.number)
                        sizes += len(effect.payload)
                records += 1
                while len(answers) < records:
                    time.sleep(ANSWER_LOOK_S)  # the store answers on its own thread, and its CPU is what is measured
            if not is_alone:
                for effect in outbox.acknowledged(numbers[-1], (), now_of(BEGIN_MS)):
                    if isinstance(effect, ForgetReports):
                        store.ask(effect)
        store.close()
        written = written_bytes() - written
        used = used_bytes(Path(folder))
        cpu_ms = (time.process_time() - began) * 1_000
        name = f"alone for {days} days" if is_alone else "acknowledged each day"
    return row(name, records, used, written / days, sizes, cpu_ms)


def run_lines(items: int, days: int) -> dict[str, str]:
    """The peer."""
    with tempfile.TemporaryDirectory(prefix="loaxa-journal-") as folder:
        path = Path(folder) / "records.jsonl"
        began, written, records, sizes = time.process_time(), written_bytes(), 0, 0
        for day in range(days):
            for record, _ in records_of(items, day):
                line = msgspec.json.encode(record) + b"\n"
                with path.open("ab") as file:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
                records, sizes = records + 1, sizes + len(line)
        cpu_ms = (time.process_time() - began) * 1_000
        used, written = used_bytes(Path(folder)), written_bytes() - written
    return row("lines of JSON, unsigned", records, used, written / days, sizes, cpu_ms)


def row(name: str, records: int, used: int, written_a_day: float, sizes: int, cpu_ms: float) -> dict[str, str]:
    """One line of the table."""
    return {
        "": name,
        "records": str(records),
        "MB on the card": f"{used / MB:.1f}",
        "KB written a day": f"{written_a_day / 1_000:.0f}",
        "B a record": f"{sizes / records:.0f}",
        "ms CPU a record": f"{cpu_ms / records:.2f}",
    }


def records_of(items: int, day: int) -> Iterator[tuple[Record, tuple[str, int] | None]]:
    """One day: items from half past five on, with the planned item that a record settles."""
    for number in range(items):
        at_ms = BEGIN_MS + day * DAY_MS + number * 1_200_000
        name = f"ban-tin-sang.{20270115 + day}T{530 + number:04}.{number}"
        settles = (planned_key("xa-binh-minh", name), at_ms + 600_000)
        begun = AiringRecord(
            airing=f"{name}:{at_ms}:0a1b2c3d",
            source=SourceKind.MEDIA,
            source_id=name,
            title="Bản tin buổi sáng của Ủy ban nhân dân xã Bình Minh",
            broadcast_class=BroadcastClass.ROUTINE,
            reality=Reality.REAL,
            state=AiringState.STARTED,
            at_ms=at_ms,
            reason="on time",
            clock_error_ms=2.5,
            area="xa-binh-minh",
            programme="ban-tin-sang",
            due_at_ms=at_ms,
            is_delivered=True,
            first_sample=48 * at_ms,
            gain_db=-3.0,
        )
        if number % 10 == 0:
            missed = {"state": AiringState.MISSED, "reason": "pre_empted", "lost_to": "bao-so-12", "first_sample": None}
            yield msgspec.structs.replace(begun, **missed), settles
            continue
        yield begun, settles
        heard = Heard(by=HeardBy.MICROPHONE, is_heard=True, level_dbfs=-31.2, likeness=0.83, delay_ms=182.4)
        ended = {"state": AiringState.FINISHED, "reason": "finished", "at_ms": at_ms + 600_000, "audible_ms": 590_000}
        proof = {"samples": 28_800_000, "content_sample": 0, "digest": f"media:{'ab' * 32}", "level_dbfs": -20.1}
        yield msgspec.structs.replace(begun, **ended, **proof, silent_ms=10_000, heard=heard), None
    yield (
        SelfTestRecord(at_ms=BEGIN_MS + day * DAY_MS, verdict=SelfTestVerdict.PASSED, bands_change_db=(0.5,) * 8),
        None,
    )


def now_of(shared_ms: int) -> Now:
    """A trusted instant."""
    shared_ns = SharedNs(shared_ms * NS_PER_MS)
    return Now(monotonic_ns=MonotonicNs(0), shared_ns=shared_ns, error_ns=0, source=TimeSource.SYSTEM)


def used_bytes(folder: Path) -> int:
    """What the files take."""
    return sum(path.stat().st_size for path in folder.iterdir())


def written_bytes() -> int:
    """What this process has handed to the system to write."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


if __name__ == "__main__":
    sys.exit(main())
