"""Who is admitted to which place: every rule of the enrolment desk, without keys or network."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from controller.enrolment.claims import GUESSES_MAX, GUESSES_PER_ADDRESS_MAX, GuessLimits, address_group, claim_hash
from controller.enrolment.desk import LATE_MS, WAITING_KEPT_MS, WAITING_MAX, EnrolmentDesk
from controller.enrolment.lifecycle import (
    CERTIFICATES_MAX,
    DAY_MS,
    ENDED,
    TRANSITIONS,
    Admitted,
    Again,
    Application,
    Decision,
    Denial,
    Denied,
    EnrolmentRecord,
    EnrolmentState,
    IssuedCertificate,
    Step,
    Waiting,
)
from controller.enrolment.office import ApproveRequest, ClaimRequest, EndRequest, EnrolmentOffice
from controller.enrolment.registry import Registry
from controller.errors import RequestError
from protocol.enrolment import ALPHABET, grouped, read_grouped, unit_fingerprint

CODE = grouped(b"0123456789")
NOW_MS = 1_795_000_000_000


@dataclass(slots=True)
class Unit:
    """A box: its keys by number, where it stands, what it says it is for."""

    number: int
    node: str = ""
    hardware: str = ""
    tls: int = 0
    address: str = "192.0.2.7"

    @property
    def key(self) -> bytes:
        return bytes([self.number]) * 32

    @property
    def label(self) -> str:
        return unit_fingerprint(self.key)

    def asks(self, claim: str = "") -> Application:
        return Application(
            node=self.node,
            report_key=self.key.hex(),
            fingerprint=self.label,
            tls_key_sha256=f"{self.number}/{self.tls}",
            hardware=self.hardware or f"box{self.number}",
            address=self.address,
            claim=claim,
        )


@dataclass
class World:
    """A desk with a clock; certificates are numbers."""

    registry: Registry = field(default_factory=lambda: Registry(places=["N001", "N002"]))
    now_ms: int = NOW_MS
    serials: int = 0

    def __post_init__(self) -> None:
        self.desk = EnrolmentDesk(registry=self.registry)
        self.office = EnrolmentOffice(registry=self.registry, desk=self.desk)

    def claim(self, node: str = "N001", *, code: str = CODE, replace: bool = False) -> EnrolmentRecord:
        hashed = claim_hash(code)
        assert hashed
        asked = ClaimRequest(node=node, replace=replace)
        return self.office.claim(asked, record_id=f"c{code}", claim_sha256=hashed, by="op", now_ms=self.now_ms)

    def apply(self, unit: Unit, claim: str = "") -> Decision:
        decision = self.desk.apply(unit.asks(claim), record_id=f"a{unit.number}", now_ms=self.now_ms)
        return self._issue(decision, unit)

    def renew(self, unit: Unit, node: str, serial: str) -> Decision:
        return self._issue(self.desk.renew(unit.asks(), node=node, serial=serial, now_ms=self.now_ms), unit)

    def _issue(self, decision: Decision, unit: Unit) -> Decision:
        if not isinstance(decision, Admitted):
            return decision
        self.serials += 1
        certificate = IssuedCertificate(serial=f"{self.serials:02X}", not_after_ms=self.now_ms + 90 * DAY_MS)
        record = self.desk.issued(
            decision.record.id,
            certificate,
            pem=certificate.serial,
            asked=unit.asks(),
            step=decision.step,
            now_ms=self.now_ms,
        )
        return Admitted(record=record, step=decision.step)

    def days(self, days: float) -> None:
        self.now_ms += int(days * DAY_MS)

    @property
    def revoked(self) -> set[str]:
        return {each.serial for each in self.registry.revoked}


@pytest.fixture
def world() -> World:
    return World()


def reason(decision: Decision) -> Denial | None:
    return decision.reason if isinstance(decision, Denied) else None


def holds(world: World, node: str, unit: Unit) -> bool:
    holder = world.registry.holder(node)
    return holder is not None and holder.report_key == unit.key.hex()


def test_a_unit_with_its_claim_gets_its_place(world: World) -> None:
    world.claim()
    assert isinstance(world.apply(Unit(1, "N001"), CODE.lower().replace("-", " ")), Admitted)
    assert holds(world, "N001", Unit(1))
    assert world.registry.report_keys() == {"N001": Unit(1).key.hex()}


def test_a_claim_serves_one_unit_and_that_one_again(world: World) -> None:
    world.claim()
    first, second = Unit(1, "N001"), Unit(2, "N001")
    world.apply(first, CODE)
    assert reason(world.apply(second, CODE)) is Denial.CLAIM_USED
    assert isinstance(world.apply(first, CODE), Again), "the answer was lost: the same certificate"
    first.tls = 1
    assert isinstance(world.apply(first, CODE), Admitted), "its key was lost too: a fresh one"
    assert isinstance(world.apply(first), Admitted | Again), "and without the code, which it has wiped"
    assert holds(world, "N001", first)


def test_a_claim_ends_and_names_one_place(world: World) -> None:
    world.claim()
    assert reason(world.apply(Unit(1, "N002"), CODE)) is Denial.WRONG_NODE
    world.days(8)
    assert reason(world.apply(Unit(1, "N001"), CODE)) is Denial.CLAIM_EXPIRED
    assert world.registry.holder("N001") is None


def test_wrong_codes_are_bounded_by_address_and_then_refuse_the_right_one_too(world: World) -> None:
    world.claim()
    for _ in range(GUESSES_PER_ADDRESS_MAX):
        assert reason(world.apply(Unit(1), grouped(b"wrong code"))) is Denial.WRONG_CLAIM
    refused = world.apply(Unit(1, "N001"), CODE)
    assert reason(refused) is Denial.TOO_MANY_GUESSES
    assert isinstance(refused, Denied)
    assert 3590 <= refused.retry_after_s <= 3600
    assert isinstance(world.apply(Unit(2, "N001", address="192.0.2.8"), CODE), Admitted)
    world.now_ms += refused.retry_after_s * 1000
    assert reason(world.apply(Unit(1), grouped(b"wrong code"))) is Denial.WRONG_CLAIM


def test_guesses_are_bounded_for_all_addresses_together() -> None:
    limits = GuessLimits()
    for number in range(GUESSES_MAX):
        limits.wrong(f"2001:db8:{number:x}::1", NOW_MS)
    assert limits.wait_ms("198.51.100.1", NOW_MS) == 3_600_000
    assert limits.wait_ms("198.51.100.1", NOW_MS + 3_600_000) == 0


def test_one_subscribers_addresses_count_as_one() -> None:
    assert address_group("2001:db8::1") == address_group("2001:db8::ffff:1") != address_group("2001:db8:1::1")
    assert address_group("::ffff:192.0.2.1") == "192.0.2.1"
    limits = GuessLimits()
    for number in range(GUESSES_PER_ADDRESS_MAX):
        limits.wrong(f"2001:db8::{number:x}", NOW_MS)
    assert limits.wait_ms("2001:db8::abcd", NOW_MS) > 0


def test_without_a_claim_a_unit_waits_until_its_label_is_approved(world: World) -> None:
    unit = Unit(1)
    assert isinstance(world.apply(unit), Waiting)
    assert world.registry.unkept() == ((), ()), "strangers cost no write"
    world.office.approve(ApproveRequest(unit=unit.label, node="N002"), record_id="x", by="op", now_ms=world.now_ms)
    assert isinstance(world.apply(unit), Admitted)
    assert holds(world, "N002", unit)


def test_a_label_may_be_approved_before_its_unit_asks(world: World) -> None:
    unit = Unit(1)
    asked = ApproveRequest(unit=unit.label.lower(), node="N001")
    world.office.approve(asked, record_id="x", by="op", now_ms=world.now_ms)
    assert isinstance(world.apply(Unit(2)), Waiting)
    assert isinstance(world.apply(unit), Admitted)
    world.office.approve(ApproveRequest(unit=Unit(3).label, node="N002"), record_id="y", by="op", now_ms=world.now_ms)
    world.days(8)
    assert isinstance(world.apply(Unit(3)), Waiting), "the approval has run out"


def test_a_refused_unit_is_told_so_until_somebody_thinks_better_of_it(world: World) -> None:
    unit = Unit(1)
    world.apply(unit)
    world.office.refuse(EndRequest(unit=unit.label, reason="nobody knows it"), by="op", now_ms=world.now_ms)
    assert reason(world.apply(unit)) is Denial.REFUSED
    world.office.approve(ApproveRequest(unit=unit.label, node="N001"), record_id="x", by="op", now_ms=world.now_ms)
    assert isinstance(world.apply(unit), Admitted)


def test_units_that_wait_are_bounded_and_forgotten(world: World) -> None:
    for number in range(WAITING_MAX):
        unit = Application(
            node="", report_key=f"{number:064x}", fingerprint="", tls_key_sha256="", hardware="", address=""
        )
        assert isinstance(world.desk.apply(unit, record_id=f"w{number}", now_ms=world.now_ms), Waiting)
    assert reason(world.apply(Unit(1))) is Denial.TOO_MANY_WAIT
    world.now_ms += WAITING_KEPT_MS + 1
    assert isinstance(world.apply(Unit(1)), Waiting)
    assert world.registry.waiting_count == 1


def test_a_place_is_taken_over_only_where_the_claim_says_so_and_in_one_step(world: World) -> None:
    old, new = Unit(1, "N001"), Unit(2, "N001")
    world.claim()
    world.apply(old, CODE)
    old.tls = 1
    world.apply(old)
    with pytest.raises(RequestError, match="replace"):
        world.claim(code=grouped(b"another one"))
    code = grouped(b"replacement")
    world.claim(code=code, replace=True)
    world.registry.kept(world.registry.unkept())
    assert holds(world, "N001", old), "until the new unit comes the old one works"
    assert isinstance(world.apply(new, code), Admitted)
    assert holds(world, "N001", new)
    assert world.revoked == {"01", "02"}, "every certificate of the old unit that is still valid"
    assert reason(world.apply(old)) is Denial.REPLACED
    records, revoked = world.registry.unkept()
    assert {each.state for each in records} == {EnrolmentState.ISSUED, EnrolmentState.REPLACED}
    assert len(revoked) == 2


def test_a_place_that_was_taken_meanwhile_is_not_taken_over(world: World) -> None:
    world.claim()
    other = grouped(b"another one")
    world.claim(code=other)
    world.apply(Unit(1, "N001"), CODE)
    assert reason(world.apply(Unit(2, "N001"), other)) is Denial.PLACE_TAKEN


def test_a_unit_that_moves_leaves_its_place(world: World) -> None:
    unit = Unit(1)
    world.claim()
    world.apply(unit, CODE)
    code = grouped(b"other place")
    world.claim("N002", code=code)
    assert isinstance(world.apply(unit, code), Admitted)
    assert world.registry.report_keys() == {"N002": unit.key.hex()}
    assert world.revoked == {"01"}


def test_renewal_needs_the_present_certificate_and_the_same_report_key_and_box(world: World) -> None:
    unit = Unit(1, "N001")
    world.claim()
    world.apply(unit, CODE)
    world.days(60)
    assert reason(world.renew(Unit(2, "N001"), "N001", "01")) is Denial.WRONG_KEY
    assert reason(world.renew(unit, "N001", "FF")) is Denial.WRONG_KEY
    assert reason(world.renew(Unit(1, "N002"), "N001", "01")) is Denial.WRONG_NODE
    assert reason(world.renew(Unit(1, hardware="another"), "N001", "01")) is Denial.OTHER_BOX
    unit.tls = 1
    renewed = world.renew(unit, "N001", "01")
    assert isinstance(renewed, Admitted)
    assert renewed.record.state is EnrolmentState.RENEWED
    assert isinstance(world.renew(unit, "N001", "01"), Again), "the answer was lost"
    world.days(45)
    unit.tls = 2
    assert isinstance(world.renew(unit, "N001", "02"), Admitted)
    world.office.revoke(EndRequest(unit="N001", reason="stolen"), by="op", now_ms=world.now_ms)
    assert world.revoked == {"02", "03"}, "the first has expired"
    assert reason(world.renew(unit, "N001", "03")) is Denial.REVOKED
    assert reason(world.apply(unit)) is Denial.REVOKED


def test_a_unit_that_renews_without_end_is_stopped(world: World) -> None:
    unit = Unit(1, "N001")
    world.claim()
    world.apply(unit, CODE)
    for tls in range(1, CERTIFICATES_MAX):
        unit.tls = tls
        assert isinstance(world.renew(unit, "N001", "01"), Admitted)
    unit.tls = CERTIFICATES_MAX
    assert reason(world.renew(unit, "N001", "01")) is Denial.TOO_OFTEN


def test_a_unit_comes_back_after_its_certificate_expired_but_not_after_half_a_year(world: World) -> None:
    unit = Unit(1, "N001")
    world.claim()
    world.apply(unit, CODE)
    world.days(120)
    unit.tls = 1
    assert isinstance(world.apply(unit), Admitted)
    world.now_ms += 90 * DAY_MS + LATE_MS + 1
    unit.tls = 2
    assert isinstance(world.apply(unit), Waiting)
    assert world.registry.holder("N001") is None
    world.office.approve(ApproveRequest(unit=unit.label, node="N001"), record_id="x", by="op", now_ms=world.now_ms)
    assert isinstance(world.apply(unit), Admitted)


def test_a_clone_in_another_box_gets_nothing_by_the_old_key(world: World) -> None:
    world.claim()
    world.apply(Unit(1, "N001"), CODE)
    assert reason(world.apply(Unit(1, "N001", hardware="another", tls=9))) is Denial.OTHER_BOX


def test_an_unused_claim_can_be_withdrawn(world: World) -> None:
    record = world.claim()
    world.office.revoke(EndRequest(unit=record.id), by="op", now_ms=world.now_ms)
    assert reason(world.apply(Unit(1, "N001"), CODE)) is Denial.REVOKED


def test_a_claim_that_was_used_or_withdrawn_takes_up_no_room(world: World) -> None:
    world.claim()
    assert world.registry.open_claims == 1
    world.apply(Unit(1, "N001"), CODE)
    assert world.registry.open_claims == 0
    record = world.claim("N002", code=grouped(b"9876543210"))
    assert world.registry.open_claims == 1
    world.office.revoke(EndRequest(unit=record.id), by="op", now_ms=world.now_ms)
    assert world.registry.open_claims == 0


def test_places_that_the_configuration_does_not_give_cannot_be_had(world: World) -> None:
    with pytest.raises(RequestError, match="nodes:"):
        world.claim("N003")
    world.claim()
    world.registry.set_places(["N002"])
    assert reason(world.apply(Unit(1, "N001"), CODE)) is Denial.WRONG_NODE


def test_what_was_kept_is_the_same_after_a_restart(world: World) -> None:
    world.claim()
    world.apply(Unit(1, "N001"), CODE)
    world.claim("N001", code=grouped(b"replacement"), replace=True)
    world.apply(Unit(2, "N001"), grouped(b"replacement"))
    records, revoked = world.registry.unkept()
    again = World(registry=Registry(places=["N001", "N002"], records=records, revoked=revoked), now_ms=world.now_ms)
    assert again.registry.unkept() == ((), ())
    assert holds(again, "N001", Unit(2))
    assert again.revoked == world.revoked == {"01"}
    assert reason(again.apply(Unit(3, "N001"), CODE)) is Denial.CLAIM_USED
    assert isinstance(again.apply(Unit(2, "N001")), Again)


def test_the_table_has_no_way_out_of_an_end() -> None:
    assert not [(state, step) for state, step in TRANSITIONS if state in ENDED]
    reached = set(TRANSITIONS.values()) | {EnrolmentState.CLAIMED, EnrolmentState.APPLIED}
    assert reached == set(EnrolmentState)
    record = EnrolmentRecord(id="x", state=EnrolmentState.REPLACED, made_at_ms=0, changed_at_ms=0)
    with pytest.raises(RequestError, match="replaced"):
        record.stepped(Step.APPROVE, 1)


def test_codes_are_read_as_people_type_them() -> None:
    assert len(CODE.replace("-", "")) == 16
    assert set(CODE.replace("-", "")) <= set(ALPHABET)
    assert read_grouped(f" {CODE.lower()} ") == CODE
    assert read_grouped("O0I1-LLLL-0000-ABCD") == "0011-1111-0000-ABCD"
    for wrong in ("", "ABC", CODE + "A", "UUUU-UUUU-UUUU-UUUU", "ÀBCD-ABCD-ABCD-ABCD"):
        assert read_grouped(wrong) is None
    assert grouped(b"\xff" * 10) == "ZZZZ-ZZZZ-ZZZZ-ZZZZ"
    assert grouped(b"\0" * 10) == "0000-0000-0000-0000"
