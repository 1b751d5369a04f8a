"""Keysets from draft to signature, by the product's own commands in one process; keys at rest; passphrases on files."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.keys import keyset_verbs
from controller.adapters.keys.key_files import read_sealed
from controller.adapters.keys.keyset_verbs import issue_keyset, read_keyset, verdict_of
from controller.adapters.keys.passphrases import Passphrases
from controller.errors import KeyFileError
from controller.keys.draft import day_begin_ms, draft_text, parse_draft
from protocol.keyring import RootKeys, open_keyset
from protocol.messages import Keyset
from protocol.topics import TopicName, topic
from tests.support.ceremony import DAY_MS, NOW_MS, Table, phrase_of

AT = topic(TopicName.KEYSET)


class Office:
    """A root, two operational keys, a first keyset that names them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.table = folder, Table()
        self.root = self.table.make_root(folder / "root")
        for key_id in ("op-1", "drill-1", "op-2"):
            self.table.make_key(folder / f"{key_id}.key", key_id)
        self.run(keyset_verbs.run_draft, in_force=None, key=self.keys("op-1", "drill-1"), days=400, out="first.yaml")
        self.sign("first.yaml", shares=("root-1", "root-2"), out="keyset.cose", in_force=None)

    def at(self, name: str) -> Path:
        return self.folder / name

    def keys(self, *key_ids: str) -> list[Path]:
        return [self.at(f"{key_id}.key") for key_id in key_ids]

    def run(self, verb: Callable[..., str], *, out: str, **options: Any) -> str:
        return verb(argparse.Namespace(out=self.at(out), **options), self.table.bench())

    def sign(
        self,
        *inputs: str,
        shares: tuple[str, ...],
        out: str,
        in_force: str | None = "keyset.cose",
        roots: tuple[RootKeys, ...] = (),
    ) -> str:
        return issue_keyset(
            [self.at(name) for name in inputs],
            self.table.holder(*shares),
            roots=roots or (self.root,),
            in_force=None if in_force is None else self.at(in_force),
            shares=[self.at("root") / f"{name}.share" for name in shares],
            out=self.at(out),
        )

    def verified(self, name: str) -> Keyset:
        return open_keyset(self.at(name).read_bytes(), topic=AT, root=self.root)

    def revoke(self, key_id: str, out: str, *, new: tuple[str, ...] = ()) -> str:
        options = {"key_id": key_id, "in_force": self.at("keyset.cose"), "days": 400, "reason": "mất máy"}
        options["new"] = [self.at(name) for name in new]
        return self.run(keyset_verbs.run_revoke, out=out, **options)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_a_first_keyset_is_drafted_from_key_files_and_signed_by_two(office: Office) -> None:
    keyset = office.verified("keyset.cose")
    assert (keyset.counter, [key.key_id for key in keyset.keys]) == (1, ["op-1", "drill-1"])
    assert [key.scope.realities[0].value for key in keyset.keys] == ["real", "drill"]
    assert keyset.keys[0].public_key.hex() == read_sealed(office.at("op-1.key")).public_key


def test_two_people_sign_one_after_the_other_and_each_sees_what_changes(office: Office) -> None:
    office.revoke("op-1", "draft.yaml")
    assert "1 trên / of 2" in office.sign("draft.yaml", shares=("root-3",), out="a.part")
    assert not verdict_of(office.at("a.part"), office.root)[0]
    office.table.told.clear()
    assert "next: keys keyset publish" in office.sign("a.part", shares=("root-1",), out="keyset-2.cose")
    assert "~ op-1: thay đổi" in office.table.told[0]
    assert "REVOKED / THU HỒI: mất máy" in office.table.told[0]
    keyset = office.verified("keyset-2.cose")
    assert (keyset.counter, keyset.keys[0].revoked, keyset.keys[0].revoked_reason) == (2, True, "mất máy")


def test_a_revoked_keys_follower_has_its_scope_and_is_not_revoked(office: Office) -> None:
    office.revoke("op-1", "draft.yaml", new=("op-2.key",))
    office.sign("draft.yaml", shares=("root-1", "root-2"), out="keyset-2.cose")
    before, _, after = office.verified("keyset-2.cose").keys
    assert (after.key_id, after.scope, after.revoked, after.revoked_reason) == ("op-2", before.scope, False, "")
    assert after.public_key.hex() == read_sealed(office.at("op-2.key")).public_key


def test_parts_signed_side_by_side_are_joined_and_others_are_not(office: Office) -> None:
    office.revoke("op-1", "draft.yaml")
    office.revoke("drill-1", "other.yaml")
    office.sign("draft.yaml", shares=("root-1",), out="a.part")
    office.sign("draft.yaml", shares=("root-2",), out="b.part")
    office.sign("other.yaml", shares=("root-2",), out="c.part")
    with pytest.raises(KeyFileError, match="another document"):
        office.sign("a.part", "c.part", shares=(), out="x")
    office.sign("a.part", "b.part", "a.part", shares=(), out="keyset-2.cose")
    assert office.verified("keyset-2.cose").counter == 2


def test_rotation_puts_the_new_key_beside_the_old_which_then_ends(office: Office) -> None:
    options = {"in_force": office.at("keyset.cose"), "days": 400, "overlap_days": 30}
    office.run(keyset_verbs.run_rotate, out="draft.yaml", key_id="op-1", new=office.at("op-2.key"), **options)
    office.sign("draft.yaml", shares=("root-1", "root-2"), out="keyset-2.cose")
    old, _, new = office.verified("keyset-2.cose").keys
    today_ms = day_begin_ms(NOW_MS)
    assert NOW_MS - DAY_MS < today_ms <= NOW_MS
    assert (old.key_id, old.expires_at_ms) == ("op-1", today_ms + 30 * DAY_MS)
    assert (new.key_id, new.scope, new.expires_at_ms) == ("op-2", old.scope, today_ms + 400 * DAY_MS)
    assert new.not_before_ms == today_ms


def test_a_fault_cannot_be_signed_over(office: Office) -> None:
    text = draft_text(read_keyset(office.at("keyset.cose")))
    office.at("same.yaml").write_text(text.replace("version: 1", "version: 3"))
    with pytest.raises(KeyFileError, match="does not follow 1"):
        office.sign("same.yaml", shares=("root-1", "root-2"), out="x")
    office.at("same.yaml").write_text(text)
    with pytest.raises(KeyFileError, match="says the same already"):
        office.sign("same.yaml", shares=("root-1", "root-2"), out="x")
    assert not office.at("x").exists()
    assert parse_draft(text, name="t") == read_keyset(office.at("keyset.cose"))


def test_nothing_is_written_over(office: Office) -> None:
    office.revoke("op-1", "draft.yaml")
    with pytest.raises(KeyFileError, match="is there already"):
        office.sign("draft.yaml", shares=("root-1", "root-2"), out="keyset.cose")
    with pytest.raises(KeyFileError, match="is there already"):
        office.table.make_key(office.at("op-1.key"), "op-1")


def test_during_a_change_of_the_root_both_must_have_signed(office: Office) -> None:
    new = office.table.make_root(office.folder / "new", after=office.root)
    office.revoke("op-1", "draft.yaml")
    both = (office.root, new)
    assert "root 2: 0 trên / of 2" in office.sign("draft.yaml", shares=("root-1", "root-2"), out="a.part", roots=both)
    bench = office.table.holder("root-v2-1", "root-v2-2")
    shares = [office.folder / "new" / f"root-v2-{number}.share" for number in (1, 2)]
    issue_keyset(
        [office.at("a.part")],
        bench,
        roots=both,
        in_force=office.at("keyset.cose"),
        shares=shares,
        out=office.at("keyset-2.cose"),
    )
    data = office.at("keyset-2.cose").read_bytes()
    assert open_keyset(data, topic=AT, root=office.root) == open_keyset(data, topic=AT, root=new)


@pytest.mark.parametrize("key_id", ["op-1", "nobody"])
def test_verbs_name_what_they_do_not_know(office: Office, key_id: str) -> None:
    if key_id == "nobody":
        with pytest.raises(KeyFileError, match="nobody is not in keyset 1"):
            office.revoke(key_id, "draft.yaml")
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_keyset(office.at("none.cose"))
    with pytest.raises(KeyFileError, match="no document to be signed"):
        read_keyset(office.at(f"{'op-1'}.key"))


def test_show_and_verify_say_who_signed(office: Office) -> None:
    shown = keyset_verbs.run_show(
        argparse.Namespace(file=office.at("keyset.cose"), root=office.at("root") / "root_keys.json"),
        office.table.bench(),
    )
    assert "đã kiểm tra / verified: gốc / root 1: 2 trên / of 2 (root-1, root-2)" in shown
    strange = Table().make_root(office.folder / "strange")
    with pytest.raises(KeyFileError, match="a signature on it is wrong"):
        verdict_of(office.at("keyset.cose"), strange)
    unverified = keyset_verbs.run_show(
        argparse.Namespace(file=office.at("keyset.cose"), root=None), office.table.bench()
    )
    assert "NOT VERIFIED" in unverified


def test_passphrases_come_from_private_files_and_descriptors_in_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path, text in ((one, "first of them\n"), (two, "second\nnot this")):
        path.write_text(text)
        path.chmod(0o600)
    given = Passphrases(files=[one, two])
    assert (given.known("a"), given.known("b")) == (b"first of them", b"second")
    with pytest.raises(KeyFileError, match="no passphrase was given for c"):
        given.known("c")
    reader, writer = os.pipe()
    os.write(writer, b"third\nfourth\n")
    os.close(writer)
    piped = Passphrases(descriptor=reader)
    assert (piped.known("a"), piped.known("b")) == (b"third", b"fourth")
    one.chmod(0o640)
    with pytest.raises(KeyFileError, match="others may read"):
        Passphrases(files=[one])
    with pytest.raises(KeyFileError, match="cannot be read"):
        Passphrases(descriptor=reader)


def test_a_new_passphrase_from_a_file_must_be_strong_too(tmp_path: Path) -> None:
    path = tmp_path / "weak"
    path.write_text("password")
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="at least"):
        Passphrases(files=[path]).new("op-1", names=("op-1",))
    path.write_text(phrase_of("op-1") + "\n")
    assert Passphrases(files=[path]).new("op-1", names=("op-1",)) == phrase_of("op-1").encode()
