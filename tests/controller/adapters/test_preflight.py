"""What `check` says of keys that cannot do all that they could."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from controller.adapters import preflight
from controller.adapters.development_pki import make_development_pki
from controller.configuration.config import Config, TimeServiceConfig
from controller.configuration.parsing import parse_config
from protocol.clock_sync import TIME_REPLY
from protocol.envelope import seal_by_many
from protocol.messages import Keyset
from protocol.topics import TopicName, topic
from tests.support.controller_desk import plain_config
from tests.support.pki import CONTROLLER, DevelopmentKeys, make_pki


def keyset_of_before(keyset: Keyset) -> Keyset:
    """As it was signed when nobody told the time."""
    replace = msgspec.structs.replace
    keys = []
    for key in keyset.keys:
        types = tuple(each for each in key.scope.document_types if each != TIME_REPLY)
        keys.append(replace(key, scope=replace(key.scope, document_types=types)))
    return replace(keyset, keys=tuple(keys))


@pytest.fixture
def keys(tmp_path: Path) -> DevelopmentKeys:
    return make_pki(tmp_path / "pki", nodes=())


def config_of(keys: DevelopmentKeys, pki: DevelopmentKeys) -> Config:
    return parse_config(msgspec.json.encode(plain_config(pki)).decode(), folder=keys.folder, name="controller.yaml")


def test_a_keyset_of_before_is_kept_and_warned_of(keys: DevelopmentKeys, pki: DevelopmentKeys) -> None:
    config = config_of(keys, pki)
    assert list(preflight.warnings_found(config)) == []
    old = seal_by_many(keyset_of_before(keys.keyset), signers=keys.root_signers(), topic=topic(TopicName.KEYSET))
    path = keys.folder / "keyset.cose"
    path.write_bytes(old)
    make_development_pki(keys.folder, controller=CONTROLLER, nodes=[])
    assert path.read_bytes() == old
    (warning,) = preflight.warnings_found(config)
    assert "may sign the type time-reply (operations-1: wrong_scope; drill-1: wrong_scope)" in warning
    silent = msgspec.structs.replace(config, time_service=TimeServiceConfig(enabled=False))
    assert list(preflight.warnings_found(silent)) == []


def test_texts_that_nothing_can_read_aloud_are_told_before_the_start(
    keys: DevelopmentKeys, pki: DevelopmentKeys
) -> None:
    def speech_faults(**changes: object) -> list[str]:
        items = [{"text": "Xin chào"}, {"text": "Nyob zoo", "language": "hmn"}]
        programme = {"id": "p", "title": "P", "area": "xa", "at": "05:30", "items": items}
        plain = plain_config(pki, programmes=[programme], **changes)
        config = parse_config(msgspec.json.encode(plain).decode(), folder=keys.folder, name="controller.yaml")
        return [fault for fault in preflight.warnings_found(config) if fault.startswith(("programmes: ", "speech."))]

    [fault] = speech_faults()
    assert "the text 'Nyob zoo'" in fault
    assert "no voice for the language 'hmn'" in fault
    assert speech_faults(speech={"voices": {"hmn": "vi"}}) == []
    assert "not installed" in speech_faults(speech={"command": "/nowhere"})[0]
