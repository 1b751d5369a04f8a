"""A database put back from before a revocation lets nobody in again who stands in the broker's list."""

from __future__ import annotations

import shutil
from pathlib import Path

from controller.adapters.enrolment_start import keep_revoked
from controller.enrolment.lifecycle import EnrolmentState
from controller.enrolment.office import EndRequest
from tests.support.enrolment_bench import OPERATOR, enrolling, make_authority, make_unit
from tests.support.waiting import until


async def test_who_was_revoked_after_the_backup_stays_out(tmp_path: Path) -> None:
    ca = make_authority(tmp_path / "ca")
    now, backup, listed = tmp_path / "now", tmp_path / "backup", tmp_path / "revoked.pem"
    async with enrolling(now, ca) as bench:
        for node in ("N001", "N002"):
            unit = make_unit(tmp_path / node, box=f"box of {node}")
            unit.put(await bench.claim(node))
            await unit.enrol()
    shutil.copytree(now, backup)
    async with enrolling(now, ca) as bench:
        await bench.service.revoke(EndRequest(unit="N001", reason="stolen"), by=OPERATOR)
        await until(lambda: "N001" in bench.told.ended)
        listed.write_bytes(bench.service.revoked_list())
        (stolen,) = [each.serial for each in bench.registry.revoked]

    async with enrolling(backup, ca) as bench:
        assert not bench.registry.is_revoked(stolen), "the backup knows nothing of it"
        await keep_revoked(bench.service, bench.registry, listed)
        states = {each.node: each.state for each in bench.registry.records}
        assert states == {"N001": EnrolmentState.REVOKED, "N002": EnrolmentState.ISSUED}
        assert bench.registry.is_revoked(stolen)
        assert bench.keys["N001"] == ""
    async with enrolling(backup, ca) as bench:
        assert bench.registry.is_revoked(stolen), "it is durable"


async def test_a_list_that_is_missing_or_broken_names_nobody(tmp_path: Path) -> None:
    ca = make_authority(tmp_path / "ca")
    async with enrolling(tmp_path / "now", ca) as bench:
        await keep_revoked(bench.service, bench.registry, tmp_path / "absent.pem")
        (tmp_path / "broken.pem").write_text("-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n")
        await keep_revoked(bench.service, bench.registry, tmp_path / "broken.pem")
        assert bench.registry.revoked == ()
