"""What `check` and the log say weeks before a key, a keyset or a certificate ends, and of a key that is missing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from controller.adapters.certificate_authority import create_authority, utc_now
from controller.adapters.endings import endings
from controller.configuration.config import Config
from controller.configuration.parsing import parse_config
from protocol.envelope import seal_by_many
from protocol.topics import TopicName, topic
from tests.support.controller_desk import plain_config
from tests.support.pki import DevelopmentKeys, make_pki

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def keys(tmp_path: Path) -> DevelopmentKeys:
    return make_pki(tmp_path / "pki")


@pytest.fixture
def config(keys: DevelopmentKeys) -> Config:
    plain = plain_config(keys)
    return parse_config(msgspec.json.encode(plain).decode(), folder=keys.folder, name="controller.yaml")


def now_ms() -> int:
    return int(utc_now().timestamp() * 1000)


def test_nothing_is_said_while_all_is_long_good(config: Config) -> None:
    assert list(endings(config, now_ms())) == []


def test_keys_and_keyset_are_told_of_before_and_after_their_end(config: Config, keys: DevelopmentKeys) -> None:
    ends_ms = keys.keyset.expires_at_ms
    before = list(endings(config, ends_ms - 40 * DAY_MS))
    assert any("sắp hết hạn / the keyset ends on" in line for line in before)
    assert any("operations-1 ends on" in line for line in before)
    after = list(endings(config, ends_ms + DAY_MS))
    assert any("hết hạn / the keyset ended on" in line for line in after)
    assert any("no key may raise a real emergency" in line for line in after)


def test_a_controller_whose_last_real_key_is_revoked_hears_of_it(config: Config, keys: DevelopmentKeys) -> None:
    replace = msgspec.structs.replace
    revoked = [replace(key, revoked=key.key_id == "operations-1") for key in keys.keyset.keys]
    keyset = replace(keys.keyset, keys=tuple(revoked))
    data = seal_by_many(keyset, signers=keys.root_signers(), topic=topic(TopicName.KEYSET))
    Path(config.trust.keyset).write_bytes(data)
    (line,) = endings(config, now_ms())
    assert "no key may raise a real emergency" in line


def test_a_servers_certificate_is_told_of_with_what_to_do(config: Config, tmp_path: Path) -> None:
    create_authority(
        tmp_path / "ca",
        controller="controller1",
        hosts=["localhost"],
        ask_passphrase=lambda: b"a long enough passphrase",
        now=utc_now(),
    )
    nodes = msgspec.structs.replace(config.http.nodes, certificate=str(tmp_path / "ca" / "server.pem"))
    served = msgspec.structs.replace(config, http=msgspec.structs.replace(config.http, nodes=nodes))
    assert list(endings(served, now_ms())) == []
    (line,) = [each for each in endings(served, now_ms() + 700 * DAY_MS) if "http.nodes" in each]
    assert "http.nodes.certificate: sắp hết hạn / ends on" in line
    assert "enrol ca-create again" in line
