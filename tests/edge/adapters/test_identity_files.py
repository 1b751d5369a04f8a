"""Power cuts during enrolment and renewal: at every write, before it and after it, the unit comes back and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import ssl
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edge.adapters.enrolment_run import NodeEnrolment
from edge.adapters.identity_files import FolderFiles
from edge.adapters.store import SqliteStore, begin_new_chain
from edge.effects import StoreReport
from edge.enrolment.identity import CERTIFICATE, IDENTITY, boot_settings
from edge.enrolment.lifecycle import Happening, UnitState
from tests.support.enrolment_bench import Bench, Unit, enrolling, make_authority, make_unit
from tests.support.waiting import until_blocking

CUTS_MAX = 30
DAY_MS = 24 * 3600 * 1000


class PowerCut(BaseException):
    """Nothing catches it: the process is gone."""


class CuttingFiles(FolderFiles):
    """A disk whose power fails at one operation; before it is done, or after."""

    def __init__(self, folder: Path, meter: list[int], *, is_after: bool) -> None:
        super().__init__(folder)
        self._meter, self._is_after = meter, is_after

    def write(self, name: str, data: bytes, *, is_private: bool) -> None:
        self._cut(lambda: super(CuttingFiles, self).write(name, data, is_private=is_private))

    def remove(self, name: str) -> None:
        self._cut(lambda: super(CuttingFiles, self).remove(name))

    def _cut(self, operation: Callable[[], None]) -> None:
        self._meter[0] -= 1
        if self._meter[0] == 0 and not self._is_after:
            raise PowerCut
        operation()
        if self._meter[0] == 0:
            raise PowerCut


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("ca") / "ca")


def work_until_cut(unit: Unit, cut: int, *, is_after: bool) -> bool:
    """Power on and work; whether the power failed on the way."""
    meter = [cut]
    try:
        enrolment = NodeEnrolment(unit.config, files=lambda folder: CuttingFiles(folder, meter, is_after=is_after))
        while (todo := enrolment.next_step()) is not None:
            enrolment.do(todo)
    except PowerCut:
        return True
    return False


def assert_whole(unit: Unit) -> None:
    """Whatever is there of an identity can be used: the key fits the certificate."""
    enrolment = NodeEnrolment(unit.config)
    if enrolment.is_enrolled:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(enrolment.folder / CERTIFICATE)
    else:
        assert boot_settings(unit.boot.read_bytes(), name="boot").claim, "the claim is still needed"


def age(unit: Unit, days: int = 70) -> None:
    """Make the certificate look older than it is."""
    for path in (unit.card / "state" / "identity").glob(f"*/{IDENTITY}"):
        plain = msgspec.json.decode(path.read_bytes())
        plain["not_before_ms"] -= days * DAY_MS
        plain["not_after_ms"] -= days * DAY_MS
        path.write_bytes(msgspec.json.encode(plain))


async def finish(bench: Bench, unit: Unit) -> None:
    enrolment = await asyncio.to_thread(unit.start)
    if enrolment.next_step() is not None:
        assert await unit.go_on(enrolment) is Happening.ISSUED
    assert enrolment.state is UnitState.ENROLLED
    assert not boot_settings(await asyncio.to_thread(unit.boot.read_bytes), name="boot").claim
    live = [each for each in bench.service.records if each.node == "N001" and each.certificates]
    assert len(live) == 1, "never locked out, never twice"
    shown = await asyncio.to_thread((enrolment.folder / CERTIFICATE).read_text)
    assert live[0].certificate_pem in shown, "what it believes to hold is what it holds"


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
async def test_a_power_cut_at_any_write_of_enrolment(tmp_path: Path, ca: Path, *, is_after: bool) -> None:
    for cut in range(1, CUTS_MAX):
        folder = tmp_path / str(cut)
        folder.mkdir()
        async with enrolling(folder, ca) as bench:
            unit = make_unit(folder / "unit")
            unit.put(await bench.claim("N001"))
            was_cut = await asyncio.to_thread(work_until_cut, unit, cut, is_after=is_after)
            await asyncio.to_thread(assert_whole, unit)
            await finish(bench, unit)
            if not was_cut:
                break
    assert 6 < cut < CUTS_MAX - 1, "every write was cut once"


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
async def test_a_power_cut_at_any_write_of_renewal(tmp_path: Path, ca: Path, *, is_after: bool) -> None:
    async with enrolling(tmp_path, ca) as bench:
        unit = make_unit(tmp_path / "unit")
        unit.put(await bench.claim("N001"))
        await unit.enrol()
        for cut in range(1, CUTS_MAX):
            await asyncio.to_thread(age, unit)
            was_cut = await asyncio.to_thread(work_until_cut, unit, cut, is_after=is_after)
            await asyncio.to_thread(assert_whole, unit)
            await finish(bench, unit)
            if not was_cut:
                break
    assert 4 < cut < CUTS_MAX - 1


def test_a_disk_that_can_only_be_read_leaves_the_claim_and_says_so(tmp_path: Path) -> None:
    unit = make_unit(tmp_path / "unit")
    unit.put("enrolment: {url: 'https://localhost:1', ca_sha256: " + "ab" * 32 + "}\n")
    unit.card.joinpath("state").write_text("a file where the folder belongs")
    enrolment = unit.start()
    todo = enrolment.next_step()
    assert todo is not None
    assert enrolment.do(todo) is Happening.UNREACHABLE
    assert "replace the card" in enrolment.last_words


def test_a_new_report_key_begins_a_new_chain_and_keeps_documents(tmp_path: Path) -> None:
    answers: list[object] = []
    store = SqliteStore(tmp_path, post=answers.append)
    store.load()
    store.ask(StoreReport(number=7, chain_number=7, payload=b"signed", sha256=bytes(32), open_airing=None))
    until_blocking(lambda: answers, what="the report is stored")
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "node.sqlite")) as database, database:
        database.execute("INSERT INTO counters VALUES ('k', 't', 5, x'00')")
    begin_new_chain(tmp_path)
    store = SqliteStore(tmp_path, post=answers.append)
    restored = store.load()
    store.close()
    assert (restored.reports, restored.last_number, restored.damage) == ((), 0, "")
    assert [each.counter for each in restored.counters] == [5], "what was obeyed once is not obeyed again"
    begin_new_chain(tmp_path / "nothing here")
