"""Keysets and roots are handed to a running controller: real process, real broker, real ceremonies, no restart."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from controller.adapters.keys.key_files import read_sealed
from controller.adapters.keys.keyset_verbs import issue_keyset
from controller.adapters.keys.root_verbs import issue_root
from controller.adapters.running_mark import running_mark, who_runs
from controller.cli import main
from controller.keys.draft import draft_text, successor
from protocol.adapters.mqtt_link import MqttLink
from protocol.envelope import open_sealed
from protocol.errors import Refusal
from protocol.keyring import RootKeys, open_keyset
from protocol.messages import Keyset, OperationalKey
from protocol.root_chain import follow_chain
from protocol.topics import TopicName, topic
from tests.controller.adapters.keys.test_keyset_verbs import Office
from tests.controller.test_process import Station, command, settled
from tests.support.broker import RealBroker
from tests.support.ceremony import phrase_of
from tests.support.pki import DevelopmentKeys
from tests.support.signers import private

KEYSET, ROOT = topic(TopicName.KEYSET), topic(TopicName.ROOT)
PLAN = topic(TopicName.PLAN, area="xa")
OLD_SHARES = ("root-1", "root-2")


class Seat(Office):
    """A commune's office whose controller runs with sealed keys and a root of its own."""

    def __init__(self, folder: Path, pki: DevelopmentKeys, broker: RealBroker) -> None:
        super().__init__(folder)
        self.table.now_ms = time.time_ns() // 1_000_000
        for key_id in ("op-1", "op-2", "drill-1"):
            private(folder / f"{key_id}.phrase", phrase_of(key_id))
        (folder / "station").mkdir()
        self.station = Station(folder / "station", pki, broker.services_port)
        plain = self.station.read()
        plain["trust"] |= {
            "keyset": str(folder / "in-force.cose"),
            "root_keys": str(folder / "root" / "root_keys.json"),
            "root_chain": str(folder / "in-force.chain"),
            "signing_keys": [
                {"key_id": key_id, "path": f"{folder}/{key_id}.key", "passphrase_file": f"{folder}/{key_id}.phrase"}
                for key_id in ("op-1", "op-2", "drill-1")
            ],
        }
        self.station.write(plain)

    def next(self, name: str, *keys: OperationalKey, roots: tuple[RootKeys, ...] = ()) -> None:
        """Sign the next keyset; its file is `name`."""
        before = self.verified("in-force.cose")
        made = successor(before, keys or before.keys, now_ms=self.table.now_ms, days=400)
        self.at(f"{name}.yaml").write_text(draft_text(made))
        self.sign(f"{name}.yaml", shares=OLD_SHARES, out=name, in_force="in-force.cose", roots=roots)

    def publish(self, what: str, name: str) -> tuple[int, str]:
        told = command("keys", what, "publish", str(self.station.config), str(self.at(name)))
        return told.returncode, told.stdout + told.stderr


@pytest.fixture
def seat(tmp_path: Path, pki: DevelopmentKeys, broker: RealBroker) -> Iterator[Seat]:
    made = Seat(tmp_path, pki, broker)
    yield made
    made.station.end(signal.SIGKILL)


def with_second(keyset: Keyset, second: bytes, *, revoked: bool) -> list[OperationalKey]:
    """The keys with op-2 beside op-1, which is revoked or not."""
    one, *others = keyset.keys
    two = msgspec.structs.replace(one, key_id="op-2", public_key=second)
    return [msgspec.structs.replace(one, revoked=revoked, revoked_reason="stolen" if revoked else ""), *others, two]


@pytest.mark.slow
async def test_a_revocation_and_a_new_root_reach_the_nodes_without_a_restart(
    seat: Seat, pki: DevelopmentKeys, broker: RealBroker
) -> None:
    heard: dict[str, bytes] = {}
    link = MqttLink(
        pki.mqtt_settings("N001", broker.port),
        on_connected=lambda *_: None,
        on_disconnected=lambda _: None,
        on_message=heard.__setitem__,
    )
    link.subscribe([(each, 1) for each in (KEYSET, ROOT, PLAN)])
    code, told = seat.publish("keyset", "keyset.cose")
    assert (code, "takes it when it starts" in told) == (0, True), told
    seat.station.start()
    link.start()
    try:
        await settled(lambda: PLAN in heard, "a plan", seat.station)
        assert open_sealed(heard[PLAN], topic=PLAN).key_id == "op-1"
        second = bytes.fromhex(_public(seat.at("op-2.key")))
        seat.next("two.cose", *with_second(seat.verified("in-force.cose"), second, revoked=True))
        code, told = seat.publish("keyset", "two.cose")
        assert (code, "đang dùng / installed and in force" in told) == (0, True), told
        assert "op-1 is revoked in keyset 2" in told
        await settled(lambda: open_sealed(heard[PLAN], topic=PLAN).key_id == "op-2", "the plan again", seat.station)
        assert open_keyset(heard[KEYSET], topic=KEYSET, root=seat.root).counter == 2
        code, told = seat.publish("keyset", "keyset.cose")
        assert (code, "is version 1; 2 is in force" in told) == (1, True), told

        new = seat.table.make_root(seat.folder / "new", after=seat.root)
        _sign_succession(seat)
        code, told = seat.publish("root", "root.chain")
        assert (code, "signed by both" in told) == (1, True), told
        seat.next("three.part", roots=(seat.root, new))
        _sign_for_new(seat, "three.part", (seat.root, new), in_force="in-force.cose", out="three.cose")
        assert seat.publish("keyset", "three.cose")[0] == 0
        code, told = seat.publish("root", "root.chain")
        assert code == 0, told
        await settled(lambda: ROOT in heard, "the chain", seat.station)
        assert [root.version for root in follow_chain(heard[ROOT], topic=ROOT, pinned=seat.root)] == [1, 2]
        seat.station.end(signal.SIGKILL)
        seat.station.start()
        before = seat.verified("in-force.cose")
        seat.at("four.yaml").write_text(draft_text(successor(before, before.keys, now_ms=seat.table.now_ms, days=400)))
        _sign_for_new(seat, "four.yaml", (new,), in_force="in-force.cose", out="four.cose")
        assert seat.publish("keyset", "four.cose")[0] == 0
        await settled(lambda: _version(heard[KEYSET], new) == 4, "the new root's keyset", seat.station)
    finally:
        link.stop()
    assert seat.station.end() == 0
    assert "Traceback" not in seat.station.log


@pytest.mark.slow
def test_what_is_not_signed_enough_is_not_installed_and_a_wrong_file_changes_nothing(seat: Seat) -> None:
    assert seat.publish("keyset", "keyset.cose")[0] == 0
    installed = seat.at("in-force.cose").read_bytes()
    seat.table.make_root(seat.folder / "strange")
    seat.next("two.cose")
    part = seat.folder / "one.part"
    _one_signature(seat, part)
    for name in ("one.part", "op-1.key", "none"):
        code, told = seat.publish("keyset", name)
        assert code == 1, told
    assert seat.at("in-force.cose").read_bytes() == installed
    assert (
        command("keys", "keyset", "verify", str(part), "--root", str(seat.at("root") / "root_keys.json")).returncode
        == 1
    )
    shown = command(
        "keys", "keyset", "show", str(seat.at("two.cose")), "--root", str(seat.at("root") / "root_keys.json")
    )
    assert "đã kiểm tra / verified" in shown.stdout


def test_the_mark_names_a_process_that_runs_and_no_other(tmp_path: Path) -> None:
    assert who_runs(tmp_path) is None
    with running_mark(tmp_path) as mark:
        mark.write(keyset=7, root=2)
        found = who_runs(tmp_path)
        assert found is not None
        assert (found.pid, found.keyset, found.root) == (os.getpid(), 7, 2)
        with running_mark(tmp_path) as second:
            assert not second.is_held
            second.write(keyset=9, root=9)
        found = who_runs(tmp_path)
        assert found is not None
        assert found.keyset == 7
    assert who_runs(tmp_path) is None


@pytest.mark.parametrize(
    "words",
    [
        ("root", "create"),
        ("root", "issue"),
        ("root", "show"),
        ("root", "publish"),
        ("create",),
        *(("keyset", verb) for verb in ("draft", "issue", "rotate", "revoke", "show", "verify", "publish")),
    ],
)
def test_each_verb_explains_itself(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["keys", *words, "--help"])
    assert ended.value.code == 0
    assert "example:\n  loaxa-controller " in capsys.readouterr().out


def _public(path: Path) -> str:
    return read_sealed(path).public_key


def _version(data: bytes, root: RootKeys) -> int:
    try:
        return open_keyset(data, topic=KEYSET, root=root).counter
    except Refusal:
        return 0


def _sign_succession(seat: Seat) -> None:
    names = (*OLD_SHARES, "root-v2-1", "root-v2-3")
    shares = [seat.folder / ("new" if "v2" in name else "root") / f"{name}.share" for name in names]
    public = [seat.folder / "new" / "root_keys.json"]
    bench = seat.table.holder(*names)
    issue_root(public, bench, old=seat.root, chain=None, shares=shares, out=seat.at("root.chain"))


def _sign_for_new(seat: Seat, name: str, roots: tuple[RootKeys, ...], *, in_force: str, out: str) -> None:
    names = ("root-v2-1", "root-v2-2")
    issue_keyset(
        [seat.at(name)],
        seat.table.holder(*names),
        roots=roots,
        in_force=seat.at(in_force),
        shares=[seat.folder / "new" / f"{each}.share" for each in names],
        out=seat.at(out),
    )


def _one_signature(seat: Seat, out: Path) -> None:
    before = seat.verified("in-force.cose")
    seat.at("one.yaml").write_text(draft_text(successor(before, before.keys, now_ms=seat.table.now_ms, days=400)))
    seat.sign("one.yaml", shares=("root-1",), out=out.name, in_force="in-force.cose")
