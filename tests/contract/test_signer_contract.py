"""What every place of a signing key promises, whether a file, a process of its own or a hardware module."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.adapters.keys.signing_keys import open_signer
from controller.errors import KeyFileError, SigningError
from controller.keys.key_config import SigningKeyConfig
from protocol.adapters.system_clock import read_now
from protocol.codec import cbor_decode
from protocol.envelope import open_sealed, seal
from protocol.messages import Plan
from protocol.topics import TopicName, topic
from tests.support.ceremony import Table
from tests.support.issuer import COMMUNE, Issuer
from tests.support.signers import KEY, FileBench, ModuleBench, ProcessBench, SignerBench, bench_of, has_module

AT = topic(TopicName.PLAN, area=COMMUNE)


def now_ms() -> int:
    return read_now().shared_ms


@pytest.fixture(
    scope="module",
    params=[
        "file",
        "process",
        pytest.param("module", marks=pytest.mark.skipif(not has_module(), reason="apt softhsm2, pip python-pkcs11")),
    ],
)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignerBench]:
    with bench_of(request.param, tmp_path_factory.mktemp("signer")) as made:
        yield made


def plan() -> Plan:
    return Issuer(now_ms() - 1_000).plan()


def test_what_it_signs_is_verified_by_its_public_half(bench: SignerBench) -> None:
    document = plan()
    sealed = open_sealed(seal(document, signer=bench.open(), topic=AT), topic=AT)
    assert sealed.key_id == KEY
    assert cbor_decode(sealed.verify(bench.public_key), Plan) == document


def test_the_same_bytes_have_the_same_signature(bench: SignerBench) -> None:
    document = plan()
    assert seal(document, signer=bench.open(), topic=AT) == seal(document, signer=bench.open(), topic=AT)


def test_several_threads_may_sign_at_once(bench: SignerBench) -> None:
    signer, document = bench.open(), plan()
    expected = seal(document, signer=signer, topic=AT)
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(seal(document, signer=signer, topic=AT))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [expected] * 6


def test_another_key_than_the_keyset_names_does_not_sign(bench: SignerBench, tmp_path: Path) -> None:
    other = bytes.fromhex(Table().make_key(tmp_path / "other.key", "other"))
    with pytest.raises((KeyFileError, SigningError), match="another key"):
        seal(plan(), signer=open_signer(config_of(bench), other)[0], topic=AT)


def config_of(bench: SignerBench) -> SigningKeyConfig:
    match bench:
        case FileBench():
            return bench.key
        case ModuleBench():
            return SigningKeyConfig(key_id=KEY, pkcs11=bench.module)
        case ProcessBench():
            return SigningKeyConfig(key_id=KEY, signer=str(bench.socket))
        case _:
            raise AssertionError("a new kind")
