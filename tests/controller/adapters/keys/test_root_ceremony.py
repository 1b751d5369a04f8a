"""A root from its making to its successor: shares on files, one person after the other, and what is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from controller.adapters.keys.ceremony import read_root
from controller.adapters.keys.root_verbs import create_root, issue_root, show_root
from controller.errors import KeyFileError
from protocol.keyring import RootKeys
from protocol.root_chain import follow_chain
from protocol.topics import TopicName, topic
from tests.support.ceremony import CHEAP, Table, phrase_of

AT = topic(TopicName.ROOT)


class Roots:
    """Two roots, the second made to follow the first."""

    def __init__(self, folder: Path) -> None:
        self.table = Table()
        self.folder = folder
        self.old = self.table.make_root(folder / "old")
        self.new = self.table.make_root(folder / "new", after=self.old)

    def share(self, name: str) -> Path:
        return self.folder / ("new" if name.startswith("root-v2") else "old") / f"{name}.share"

    def issue(self, *inputs: Path, shares: tuple[str, ...], out: str, chain: Path | None = None) -> str:
        return issue_root(
            inputs,
            self.table.holder(*shares),
            old=self.old,
            chain=chain,
            shares=[self.share(name) for name in shares],
            out=self.folder / out,
        )

    def begin(self, *shares: str, out: str = "root.part") -> str:
        return self.issue(self.folder / "new" / "root_keys.json", shares=shares, out=out)


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(tmp_path)


def followed(path: Path, pinned: RootKeys) -> list[int]:
    return [root.version for root in follow_chain(path.read_bytes(), topic=AT, pinned=pinned)]


def test_a_root_is_three_private_shares_and_one_public_file(roots: Roots) -> None:
    folder = roots.folder / "old"
    shares = sorted(folder.glob("*.share"))
    assert [path.name for path in shares] == ["root-1.share", "root-2.share", "root-3.share"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in shares} == {0o600}
    assert read_root(folder / "root_keys.json") == roots.old
    assert (roots.old.threshold, roots.old.version) == (2, 1)
    assert (set(roots.new.keys), roots.new.version) == ({"root-v2-1", "root-v2-2", "root-v2-3"}, 2)


def test_a_root_is_made_once_and_whole(roots: Roots, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="is there already"):
        roots.table.make_root(tmp_path / "old")
    same = [phrase_of("root-1")] * 4
    with pytest.raises(KeyFileError, match="another share has this passphrase"):
        create_root(tmp_path / "third", roots.table.bench(*same), keys=3, threshold=2)
    with pytest.raises(KeyFileError, match="the two differ"):
        create_root(tmp_path / "third", roots.table.bench(phrase_of("a"), phrase_of("b")), keys=3, threshold=2)
    with pytest.raises(KeyFileError, match="guessed"):
        create_root(tmp_path / "third", roots.table.bench("password password 1"), keys=3, threshold=2)
    assert not (tmp_path / "third").exists()


@pytest.mark.parametrize(("keys", "threshold"), [(3, 1), (2, 3), (1, 1)])
def test_a_root_that_one_person_could_use_or_nobody_is_not_made(keys: int, threshold: int, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="at least two must sign"):
        create_root(tmp_path / "r", Table().bench(), keys=keys, threshold=threshold)


def test_four_people_on_four_machines_let_a_new_root_follow(roots: Roots) -> None:
    first = roots.begin("root-1")
    assert "1: 1 trên / of 2 (root-1)" in first
    roots.issue(roots.folder / "root.part", shares=("root-3",), out="b.part")
    roots.issue(roots.folder / "b.part", shares=("root-v2-2",), out="c.part")
    done = roots.issue(roots.folder / "c.part", shares=("root-v2-1",), out="root.chain")
    assert "Root 2 may follow" in done
    assert followed(roots.folder / "root.chain", roots.old) == [1, 2]
    assert any("+ root-v2-1: khoá mới" in told for told in roots.table.told)
    shown = show_root(roots.folder / "root.chain", pinned=roots.old)
    assert "đã kiểm tra / verified from root 1" in shown
    assert "NOT VERIFIED" in show_root(roots.folder / "root.chain", pinned=None)


def test_parts_that_were_signed_side_by_side_are_joined(roots: Roots) -> None:
    roots.begin("root-1", "root-2", out="a.part")
    roots.begin("root-v2-3", "root-v2-1", out="b.part")
    parts = (roots.folder / "b.part", roots.folder / "a.part")
    assert "may follow" in roots.issue(*parts, shares=(), out="root.chain")
    assert followed(roots.folder / "root.chain", roots.old) == [1, 2]


@pytest.mark.parametrize(
    "shares",
    [
        ("root-1",),
        ("root-1", "root-2"),
        ("root-v2-1", "root-v2-2"),
        ("root-1", "root-v2-1"),
        ("root-1", "root-v2-1", "root-v2-2"),
    ],
)
def test_too_few_make_a_part_and_no_chain(roots: Roots, shares: tuple[str, ...]) -> None:
    told = roots.begin(*shares)
    assert "next holder" in told
    with pytest.raises(KeyFileError):
        show_root(roots.folder / "root.part", pinned=roots.old)


def test_a_wrong_passphrase_the_same_share_twice_and_a_strangers_share_sign_nothing(roots: Roots) -> None:
    inputs, out = [roots.folder / "new" / "root_keys.json"], roots.folder / "x"

    def issue(*phrases: str, shares: list[Path], given: list[Path] = inputs) -> None:
        bench = roots.table.bench(*phrases)
        issue_root(given, bench, old=roots.old, chain=None, shares=shares, out=out)

    one = roots.share("root-1")
    with pytest.raises(KeyFileError, match="wrong passphrase"):
        issue("not this one at all", shares=[one])
    with pytest.raises(KeyFileError, match="root-1 has signed already"):
        issue(phrase_of("root-1"), phrase_of("root-1"), shares=[one, one])
    roots.begin("root-1")
    with pytest.raises(KeyFileError, match="root-1 has signed already"):
        issue(phrase_of("root-1"), shares=[one], given=[roots.folder / "root.part"])
    roots.table.make_root(roots.folder / "strange")
    with pytest.raises(KeyFileError, match="is no share of this root"):
        issue(phrase_of("root-1"), shares=[roots.folder / "strange" / "root-1.share"])
    roots.table.make_key(roots.folder / "op.key", "op-1")
    with pytest.raises(KeyFileError, match="is an operational key"):
        issue(phrase_of("op-1"), shares=[roots.folder / "op.key"])
    assert not out.exists()


def test_whoever_does_not_type_the_version_does_not_sign(roots: Roots) -> None:
    roots.table.answers = ["yes"]
    bench = roots.table.bench(phrase_of("root-1"), is_confirmed=False)
    inputs = [roots.folder / "new" / "root_keys.json"]
    with pytest.raises(KeyFileError, match="not signed"):
        issue_root(inputs, bench, old=roots.old, chain=None, shares=[roots.share("root-1")], out=roots.folder / "x")
    roots.table.answers = ["2"]
    issue_root(inputs, bench, old=roots.old, chain=None, shares=[roots.share("root-1")], out=roots.folder / "x")


def test_a_part_with_a_wrong_signature_is_not_added_to(roots: Roots) -> None:
    roots.begin("root-1")
    part = roots.folder / "root.part"
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)
    with pytest.raises(KeyFileError, match="do not sign it"):
        roots.issue(part, shares=("root-2",), out="b.part")


def test_a_lost_share_is_replaced_by_the_two_that_are_left(roots: Roots) -> None:
    new = roots.table.make_root(roots.folder / "kept", after=roots.old, keep=("root-1", "root-3"))
    assert set(new.keys) == {"root-1", "root-3", "root-v2-1"}
    told = roots.issue(roots.folder / "kept" / "root_keys.json", shares=("root-1", "root-3"), out="root.chain")
    assert "may follow" in told
    assert followed(roots.folder / "root.chain", roots.old) == [1, 2]


def test_a_third_root_needs_the_chain_that_ends_with_the_second(roots: Roots) -> None:
    roots.begin("root-1", "root-2", "root-v2-1", "root-v2-2", out="root.chain")
    third = roots.table.make_root(roots.folder / "third", after=roots.new)
    assert third.version == 3
    public = [roots.folder / "third" / "root_keys.json"]
    shares = [roots.share("root-v2-1"), roots.share("root-v2-3")]
    shares += [roots.folder / "third" / f"root-v3-{number}.share" for number in (1, 2)]
    names = ("root-v2-1", "root-v2-3", "root-v3-1", "root-v3-2")

    def issue(chain: Path | None, out: str) -> None:
        bench = roots.table.holder(*names)
        issue_root(public, bench, old=roots.new, chain=chain, shares=shares, out=roots.folder / out)

    with pytest.raises(KeyFileError, match="needs the chain"):
        issue(None, "next.chain")
    issue(roots.folder / "root.chain", "next.chain")
    assert followed(roots.folder / "next.chain", roots.old) == [1, 2, 3]
    with pytest.raises(KeyFileError, match="cannot take another root"):
        issue(roots.folder / "next.chain", "again.chain")
    with pytest.raises(KeyFileError, match="root 3 cannot follow root 1"):
        issue_root(public, roots.table.bench(), old=roots.old, chain=None, shares=[], out=roots.folder / "y")


def test_costs_stand_in_the_file(roots: Roots) -> None:
    assert f'"memory_kib": {CHEAP.memory_kib}' in roots.share("root-1").read_text()
