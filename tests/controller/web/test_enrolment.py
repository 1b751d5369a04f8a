"""Enrolment from end to end: real HTTPS doors, a real database, real units with their keys on disk."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import stat
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from controller.adapters.database import open_database
from controller.enrolment.lifecycle import EnrolmentState
from controller.enrolment.office import ApproveRequest, EndRequest
from edge.adapters import enrolment_keys as keys
from edge.adapters.enrolment_client import own_context
from edge.adapters.identity_files import LAST_SEEN
from edge.enrolment.identity import CA, CERTIFICATE, IDENTITY, TLS_KEY
from edge.enrolment.lifecycle import Happening, Todo, UnitState
from protocol.enrolment import CACERTS_PATH, DOCUMENTS_PATH, ENROLL_PATH, PROOF_HEADER, EnrolmentDocuments, proof_bytes
from tests.support.enrolment_bench import OPERATOR, Bench, Unit, enrolling, make_authority, make_unit
from tests.support.waiting import until


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("ca") / "ca")


@pytest_asyncio.fixture
async def bench(tmp_path: Path, ca: Path) -> AsyncIterator[Bench]:
    async with enrolling(tmp_path, ca) as running:
        yield running


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    return make_unit(tmp_path / "unit")


async def test_a_unit_with_a_claim_is_enrolled_and_its_claim_wiped(bench: Bench, unit: Unit) -> None:
    bench.documents["N001"] = EnrolmentDocuments(keyset=b"keyset", assignment=b"assignment")
    boot = await bench.claim("N001")
    unit.put("network: {wifi: loa}\n" + boot)
    assert await unit.enrol() is Happening.ISSUED
    enrolment = unit.enrolment
    assert enrolment is not None
    assert enrolment.identity is not None
    assert (enrolment.identity.node, enrolment.documents) == ("N001", bench.documents["N001"])
    assert "claim" in boot
    assert boot.splitlines()[:5] == unit.boot.read_text().splitlines()[1:6], "every other line stays"
    assert "claim:   #" in unit.boot.read_text()
    private = [path for path in enrolment.folder.iterdir() if path.suffix == ".key" or path.name == CERTIFICATE]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert not (enrolment.folder / TLS_KEY).exists(), "it stands beside its certificate now"
    assert bench.keys["N001"] == bench.registry.report_keys()["N001"]
    assert (await asyncio.to_thread(unit.start)).state is UnitState.ENROLLED


async def test_openssl_agrees_with_every_answer(bench: Bench, unit: Unit, tmp_path: Path) -> None:
    unit.put(await bench.claim("N001"))
    await unit.enrol()
    assert unit.enrolment is not None
    context = ssl.create_default_context(cafile=str(bench.ca / "ca.pem"))
    async with aiohttp.ClientSession() as session, session.get(bench.url + CACERTS_PATH, ssl=context) as answer:
        assert answer.headers["Content-Type"] == "application/pkcs7-mime"
        assert answer.headers["Content-Transfer-Encoding"] == "base64"
        (tmp_path / "cacerts.b64").write_bytes(await answer.read())
    openssl("base64", "-d", "-in", tmp_path / "cacerts.b64", "-out", tmp_path / "cacerts.p7")
    shown = openssl("pkcs7", "-inform", "DER", "-in", tmp_path / "cacerts.p7", "-print_certs", "-noout")
    assert "LoaXa root" in shown
    assert "LoaXa issuing" in shown
    own = unit.enrolment.folder / CERTIFICATE
    verified = openssl(
        "verify", "-CAfile", bench.ca / "ca.pem", "-untrusted", bench.ca / "issuing.pem", "-purpose", "sslclient", own
    )
    assert verified.strip().endswith("OK")
    text = openssl("x509", "-in", own, "-noout", "-text")
    for expected in ("CN = N001", "TLS Web Client Authentication", "CA:FALSE", "prime256v1", "2.25.2158"):
        assert expected in text
    report = openssl_bytes("pkey", "-in", unit.enrolment.folder / "report.key", "-pubout", "-outform", "DER")
    assert bench.keys["N001"] == report[-32:].hex()


async def test_a_request_made_by_openssl_needs_the_report_keys_proof(bench: Bench, tmp_path: Path) -> None:
    key, request = tmp_path / "k.pem", tmp_path / "r.der"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    report = keys.new_report_key()
    (tmp_path / "report.pem").write_bytes(report)
    public = openssl_bytes("pkey", "-in", tmp_path / "report.pem", "-pubout", "-outform", "DER")[-32:]
    (tmp_path / "c.cnf").write_text(
        "[req]\nprompt=no\ndistinguished_name=d\nreq_extensions=e\n[d]\nCN=N002\nserialNumber=box\n[e]\n"
        f"2.25.215870860447130136325427905613728242164=DER:{public.hex(':')}\n"
    )
    openssl("req", "-new", "-key", key, "-config", tmp_path / "c.cnf", "-outform", "DER", "-out", request)
    (tmp_path / "proven").write_bytes(b"loaxa enrolment 1\0" + request.read_bytes())
    proof = base64.b64encode(
        openssl_bytes("pkeyutl", "-sign", "-rawin", "-inkey", tmp_path / "report.pem", "-in", tmp_path / "proven")
    ).decode()
    body = base64.encodebytes(request.read_bytes())
    code = (await bench.claim("N002")).split("claim: ")[1].split()[0]
    authorization = "Basic " + base64.b64encode(f"N002:{code}".encode()).decode()
    assert (await posted(bench, body, "", authorization))[0] == 400
    assert (await posted(bench, body, base64.b64encode(bytes(64)).decode(), authorization))[0] == 400
    assert (await posted(bench, body[:-40], proof, authorization))[0] == 400
    status, answer = await posted(bench, body, proof, authorization)
    assert status == 200
    assert b"BEGIN" not in answer
    assert bench.keys["N002"] == public.hex()


async def test_a_request_that_its_own_key_has_not_signed_is_refused(bench: Bench) -> None:
    report = keys.new_report_key()
    made = keys.make_request(tls_key_pem=keys.new_tls_key(), report_key_pem=report, node="N001", hardware="box")
    der = bytearray(base64.b64decode(made.body))
    der[-1] ^= 1
    signer = load_pem_private_key(report, None)
    assert isinstance(signer, Ed25519PrivateKey)
    proof = base64.b64encode(signer.sign(proof_bytes(bytes(der)))).decode()
    status, answer = await posted(bench, base64.b64encode(der), proof, "")
    assert (status, b"signed by the key that it is for" in answer) == (400, True)


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"not base64!", base64.b64encode(b"no request"), base64.b64encode(os.urandom(900))]
)
async def test_rubbish_is_refused_in_plain_words(bench: Bench, body: bytes) -> None:
    status, answer = await posted(bench, body, "AAAA", "")
    assert status == 400
    assert json.loads(answer)["error"]["code"] == "bad_request"
    assert (await posted(bench, b"A" * 5_000, "AAAA", ""))[0] == 413
    assert (await posted(bench, body, "AAAA", "Bearer x"))[0] == 400


async def test_two_units_with_one_claim(bench: Bench, tmp_path: Path) -> None:
    boot = await bench.claim("N001")
    units = [make_unit(tmp_path / f"u{number}", f"box{number}") for number in range(2)]
    for each in units:
        each.put(boot)
    happened = await asyncio.gather(*(each.enrol() for each in units))
    assert sorted(happened) == [Happening.DENIED, Happening.ISSUED]
    loser = units[happened.index(Happening.DENIED)].enrolment
    assert loser is not None
    assert "đã được hộp khác dùng" in loser.last_words
    assert loser.next_step() is None, "it does not hammer"


async def test_a_foreign_name_gets_nothing(bench: Bench, unit: Unit) -> None:
    unit.put((await bench.claim("N001")).replace("node: N001", "node: N002"))
    assert await unit.enrol() is Happening.DENIED
    assert not bench.keys


async def test_guesses_end_with_a_clear_refusal(bench: Bench, unit: Unit) -> None:
    boot = await bench.claim("N001")
    code = boot.split("claim: ")[1].split()[0]
    for number in range(11):
        unit.put(boot.replace(code, f"0000-0000-0000-{number:04d}"))
        assert await unit.enrol() is Happening.DENIED
    assert unit.enrolment is not None
    assert "quá nhiều mã sai" in unit.enrolment.last_words
    unit.put(boot)
    assert await unit.enrol() is Happening.DENIED


async def test_without_a_claim_the_label_is_approved(bench: Bench, unit: Unit) -> None:
    unit.put(bench.unclaimed())
    assert await unit.enrol() is Happening.WAIT
    assert unit.enrolment is not None
    (waiting,) = bench.service.records
    assert (waiting.state, waiting.fingerprint) == (EnrolmentState.APPLIED, unit.enrolment.label)
    assert waiting.hardware == unit.box
    await bench.service.approve(ApproveRequest(unit=unit.enrolment.label, node="N003"), by=OPERATOR)
    assert await unit.enrol() is Happening.ISSUED
    assert unit.enrolment.identity is not None
    assert unit.enrolment.identity.node == "N003"


async def test_a_wrong_server_learns_nothing(bench: Bench, unit: Unit, tmp_path: Path) -> None:
    other = make_authority(tmp_path / "rogue")
    async with enrolling(tmp_path / "rogue", other) as rogue:
        boot = (await bench.claim("N001")).replace(bench.url, rogue.url)
        unit.put(boot)
        assert await unit.enrol() is Happening.UNREACHABLE
        assert unit.enrolment is not None
        assert "ca_sha256" in unit.enrolment.last_words
        assert not rogue.service.records
    assert unit.boot.read_text() == boot, "the claim is still good"


async def test_a_server_of_the_right_authority_under_another_name_learns_nothing(bench: Bench, unit: Unit) -> None:
    unit.put((await bench.claim("N001")).replace("localhost", "127.0.0.1"))
    assert await unit.enrol() is Happening.UNREACHABLE
    assert unit.enrolment is not None
    assert "không đáng tin" in unit.enrolment.last_words


async def test_a_unit_whose_clock_is_behind_enrols_by_its_floor(tmp_path: Path, unit: Unit) -> None:
    """To a clock that is 400 days behind, the server's certificate lies in the future."""
    days_ahead = 400
    later = make_authority(tmp_path / "later", days=days_ahead)
    async with enrolling(tmp_path / "later", later) as bench:
        unit.put(await bench.claim("N001"))
        assert await unit.enrol() is Happening.UNREACHABLE
        assert unit.enrolment is not None
        assert "đồng hồ của hộp sai" in unit.enrolment.last_words
        assert not bench.keys, "nothing was sent"
        seen_ms = int((time.time() + (days_ahead + 1) * 86_400) * 1000)
        (unit.enrolment.folder / LAST_SEEN).write_text(str(seen_ms))
        assert await unit.enrol() is Happening.ISSUED


async def test_the_server_dies_between_issue_and_delivery(tmp_path: Path, ca: Path, unit: Unit) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/c.sqlite")
    async with enrolling(tmp_path, ca, database=database) as bench:
        boot = await bench.claim("N001")
        unit.put(boot)
        enrolment = await asyncio.to_thread(unit.start)
        await asyncio.to_thread(enrolment.do, Todo.MAKE_KEYS)
        await lost_answer(bench, enrolment.folder, boot)
        ports = (bench.port, bench.nodes_port)
    async with enrolling(tmp_path, ca, database=database, ports=ports) as bench:
        held = bench.registry.holder("N001")
        assert held is not None
        assert await unit.enrol() is Happening.ISSUED
        assert bench.registry.holder("N001") == held, "the same certificate, which is given once more"
    await database.close()


async def lost_answer(bench: Bench, folder: Path, boot: str) -> None:
    """A request whose answer nobody gets."""
    request = keys.make_request(
        tls_key_pem=(folder / TLS_KEY).read_bytes(),
        report_key_pem=(folder / "report.key").read_bytes(),
        node="N001",
        hardware="10000000aaaa0001",
    )
    code = boot.split("claim: ")[1].split(maxsplit=1)[0]
    authorization = "Basic " + base64.b64encode(f"N001:{code}".encode()).decode()
    status, _ = await posted(bench, request.body, request.proof, authorization)
    assert status == 200


async def test_renewal_revocation_and_what_a_revoked_certificate_can_still_do(bench: Bench, unit: Unit) -> None:
    unit.put(await bench.claim("N001"))
    await unit.enrol()
    enrolment = unit.enrolment
    assert enrolment is not None
    before = (enrolment.folder / CERTIFICATE).read_bytes()
    assert await renewed(unit) is Happening.ISSUED
    assert (enrolment.folder / CERTIFICATE).read_bytes() != before
    holder = bench.registry.holder("N001")
    assert holder is not None
    assert (holder.state, len(holder.certificates)) == (EnrolmentState.RENEWED, 2)
    own = await asyncio.to_thread(own_context, str(enrolment.folder / CA), str(enrolment.folder / CERTIFICATE))
    async with aiohttp.ClientSession() as session:
        async with session.get(bench.nodes_url + DOCUMENTS_PATH, ssl=own) as answer:
            assert answer.status == 200
        await bench.service.revoke(EndRequest(unit="N001", reason="stolen"), by=OPERATOR)
        async with session.get(bench.nodes_url + DOCUMENTS_PATH, ssl=own) as answer:
            assert answer.status == 403, "also on a connection that stands"
    await until(lambda: bench.told.ended == ["N001"], what="the broker is told")
    assert bench.keys["N001"] == ""
    (bench.folder / "list.pem").write_bytes(bench.told.lists[-1])
    shown = openssl("crl", "-in", bench.folder / "list.pem", "-noout", "-text", "-CAfile", bench.ca / "issuing.pem")
    assert all(each.serial in shown for each in holder.certificates)
    assert await renewed(unit) is Happening.DENIED
    assert unit.enrolment is not None
    assert "thu hồi" in unit.enrolment.last_words


async def test_a_replacement_takes_the_place_in_one_step(bench: Bench, unit: Unit, tmp_path: Path) -> None:
    unit.put(await bench.claim("N001"))
    await unit.enrol()
    first = bench.keys["N001"]
    new = make_unit(tmp_path / "new", "box2")
    new.put(await bench.claim("N001", replace=True))
    assert await new.enrol() is Happening.ISSUED
    assert bench.keys["N001"] != first
    await until(lambda: bench.told.ended == ["N001"], what="the broker is told")
    assert unit.enrolment is not None
    assert await renewed(unit) is Happening.DENIED
    assert bench.keys["N001"] != first


async def test_a_card_in_another_box_enrols_anew_and_works_again_in_its_own(bench: Bench, unit: Unit) -> None:
    unit.put(await bench.claim("N001"))
    await unit.enrol()
    own, unit.box = unit.box, "10000000bbbb0002"
    assert await unit.enrol() is Happening.WAIT, "with other keys, for somebody to look at"
    assert unit.enrolment is not None
    assert unit.enrolment.is_foreign
    assert len({each.report_key for each in bench.service.records}) == 2
    unit.box = own
    assert (await asyncio.to_thread(unit.start)).state is UnitState.ENROLLED


async def test_a_new_code_on_the_card_takes_an_enrolled_unit_elsewhere(bench: Bench, unit: Unit) -> None:
    unit.put(await bench.claim("N001"))
    await unit.enrol()
    unit.put(await bench.claim("N002"))
    assert await unit.enrol() is Happening.ISSUED
    assert unit.enrolment is not None
    assert unit.enrolment.identity is not None
    assert unit.enrolment.identity.node == "N002"
    assert bench.keys == {"N001": "", "N002": bench.keys["N002"]}


async def test_a_wrong_code_does_not_cost_an_enrolled_unit_its_certificate(bench: Bench, unit: Unit) -> None:
    unit.put(await bench.claim("N001"))
    await unit.enrol()
    unit.put(unit.boot.read_text().replace("claim: ", "claim: 0000-0000-0000-0000"))
    assert await unit.enrol() is Happening.DENIED
    assert unit.enrolment is not None
    assert unit.enrolment.state is UnitState.ENROLLED


async def test_what_the_database_does_not_take_is_not_given_out(tmp_path: Path, ca: Path, unit: Unit) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/c.sqlite")
    async with enrolling(tmp_path, ca, database=database) as bench:
        unit.put(await bench.claim("N001"))
        await database.close()
        kept = await asyncio.to_thread(break_database, tmp_path / "c.sqlite")
        assert await unit.enrol() is Happening.UNREACHABLE
        await asyncio.to_thread(mend_database, tmp_path / "c.sqlite", kept)
        assert await unit.enrol() is Happening.ISSUED
    await database.close()


def break_database(path: Path) -> bytes:
    """The disk gives it no more."""
    kept = path.read_bytes()
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)
    path.mkdir()
    return kept


def mend_database(path: Path, kept: bytes) -> None:
    path.rmdir()
    path.write_bytes(kept)


async def test_the_door_bounds_how_often_an_address_comes(tmp_path: Path, ca: Path) -> None:
    async with enrolling(tmp_path, ca, requests_per_minute=5) as bench:
        statuses = [(await posted(bench, b"", "", ""))[0] for _ in range(12)]
    assert statuses.count(400) <= 10, "five in a minute, or in two"
    assert 429 in statuses


async def renewed(unit: Unit) -> Happening:
    """Time has passed: two thirds of the certificate's life and more."""
    assert unit.enrolment is not None
    identity = unit.enrolment.identity
    assert identity is not None
    day_ms = 24 * 3600 * 1000
    old = msgspec.structs.replace(
        identity, not_before_ms=identity.not_before_ms - 70 * day_ms, not_after_ms=identity.not_after_ms - 70 * day_ms
    )
    (unit.enrolment.folder / IDENTITY).write_bytes(msgspec.json.encode(old))
    enrolment = await asyncio.to_thread(unit.start)
    assert enrolment.next_step() is Todo.RENEW
    return await unit.go_on(enrolment)


async def posted(bench: Bench, body: bytes, proof: str, authorization: str) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(bench.ca / "ca.pem"))
    headers = {PROOF_HEADER: proof} | ({"Authorization": authorization} if authorization else {})
    async with (
        aiohttp.ClientSession() as session,
        session.post(bench.url + ENROLL_PATH, data=body, headers=headers, ssl=context) as answer,
    ):
        return answer.status, await answer.read()


def openssl(*words: object) -> str:
    """What openssl says, on either of its outputs."""
    return openssl_bytes(*words).decode()


def openssl_bytes(*words: object) -> bytes:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
