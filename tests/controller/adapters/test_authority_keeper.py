"""Keys that are read again by a running controller: newer ones are used, older and broken ones change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.adapters.authority_keeper import AuthorityKeeper
from controller.adapters.keys.signing import load_authority
from controller.adapters.running_mark import running_mark, who_runs
from controller.configuration.config import TrustConfig
from controller.dispatch import Authority
from controller.errors import ConfigError
from controller.keys.key_config import SigningKeyConfig
from tests.controller.adapters.keys.test_keyset_verbs import Office
from tests.support.ceremony import phrase_of
from tests.support.signers import private


def trust_of(office: Office, *key_ids: str) -> TrustConfig:
    for key_id in key_ids:
        private(office.at(f"{key_id}.phrase"), phrase_of(key_id))
    return TrustConfig(
        ca="",
        certificate="",
        private_key="",
        keyset=str(office.at("in-force.cose")),
        root_keys=str(office.at("root") / "root_keys.json"),
        signing_keys=tuple(
            SigningKeyConfig(
                key_id=key_id,
                path=str(office.at(f"{key_id}.key")),
                passphrase_file=str(office.at(f"{key_id}.phrase")),
            )
            for key_id in key_ids
        ),
    )


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path)
    made.at("in-force.cose").write_bytes(made.at("keyset.cose").read_bytes())
    made.revoke("op-1", "draft.yaml")
    made.sign("draft.yaml", shares=("root-1", "root-2"), out="two.cose")
    return made


async def test_newer_keys_are_used_and_told_older_and_broken_ones_change_nothing(office: Office) -> None:
    trust = trust_of(office, "op-1", "drill-1")
    used: list[Authority] = []
    with running_mark(office.folder) as mark:
        keeper = AuthorityKeeper(load_authority(trust), mark=mark, uses=(used.append,))
        office.at("in-force.cose").write_bytes(office.at("two.cose").read_bytes())
        assert await keeper.read_again(trust) == ""
        assert [(each.version, [signer.key_id for signer in each.signers]) for each in used] == [(2, ["drill-1"])]
        running = who_runs(office.folder)
        assert running is not None
        assert (running.keyset, running.root) == (2, 1)
        office.at("in-force.cose").write_bytes(office.at("keyset.cose").read_bytes())
        assert "version 1; 2 is in force" in await keeper.read_again(trust)
        office.at("in-force.cose").write_bytes(b"nonsense")
        assert "is not a keyset" in await keeper.read_again(trust)
        assert len(used) == 1


def test_a_key_that_the_keyset_does_not_name_yet_waits_for_it(office: Office) -> None:
    authority = load_authority(trust_of(office, "op-1", "op-2"))
    assert [signer.key_id for signer in authority.signers] == ["op-1"]
    with pytest.raises(ConfigError, match="give a key that the keyset names"):
        load_authority(trust_of(office, "op-2"))


def test_a_wrong_passphrase_is_named_with_its_key(office: Office) -> None:
    trust = trust_of(office, "op-1", "drill-1")
    private(office.at("drill-1.phrase"), "another one altogether")
    with pytest.raises(ConfigError, match=r"drill-1: .*wrong passphrase"):
        load_authority(trust)
