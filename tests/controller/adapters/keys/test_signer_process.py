"""The signer as a process: who is answered, what it survives, what it writes down, and a controller without it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from controller.adapters.keys.signer_client import SignerClient
from controller.adapters.keys.signer_process import (
    CONNECTIONS_MAX,
    SignerServer,
    SignerService,
    check_signer,
    read_signer_config,
    users_of,
)
from controller.adapters.keys.signing_log import SigningLog, SigningLogError
from controller.errors import ConfigError, SigningError
from controller.keys.signer_frames import HEAD, REQUEST_BYTES_MAX, SigningRequest
from protocol.adapters.system_clock import read_now
from protocol.envelope import seal
from protocol.messages import AnyDocument
from protocol.topics import TopicName, topic
from tests.controller.keys.test_signing_policy import asked
from tests.support.issuer import COMMUNE, HOUR_MS, Issuer, media
from tests.support.signers import KEY, ProcessBench, bench_of

PLAN_AT = topic(TopicName.PLAN, area=COMMUNE)
EMERGENCY_AT = topic(TopicName.EMERGENCY, area=COMMUNE)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessBench]:
    with bench_of("process", tmp_path_factory.mktemp("signer")) as made:
        assert isinstance(made, ProcessBench)
        yield made


def issuer() -> Issuer:
    return Issuer(read_now().shared_ms - 1_000)


def emergency(name: str) -> AnyDocument:
    now = issuer()
    until_ms = now.now_ms + HOUR_MS
    return now.emergency(media("siren"), play_at_ms=now.now_ms, emergency=name, expires_at_ms=until_ms)


def ask(bench: ProcessBench, frame: bytes) -> bytes:
    """Raw bytes to the signer; what it answers before it hangs up, or for a short while."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
        raw.settimeout(5)
        raw.connect(str(bench.socket))
        raw.sendall(frame)
        raw.shutdown(socket.SHUT_WR)
        return raw.recv(4_096)


def test_while_it_is_away_the_error_says_so_and_it_is_found_again(bench: ProcessBench) -> None:
    signer, document = bench.open(), issuer().plan()
    expected = seal(document, signer=signer, topic=PLAN_AT)
    assert bench.go_away() == 0
    for _ in range(3):
        with pytest.raises(SigningError, match=r"is away \(.*systemctl status loaxa-signer"):
            seal(document, signer=signer, topic=PLAN_AT)
    bench.come_back()
    assert seal(document, signer=signer, topic=PLAN_AT) == expected
    bench.go_away(signal.SIGKILL)
    bench.come_back()
    assert seal(document, signer=signer, topic=PLAN_AT) == expected, "one that was restarted costs no error"


def test_each_request_stands_in_its_record_before_it_is_answered(bench: ProcessBench) -> None:
    seal(issuer().plan(), signer=bench.open(), topic=PLAN_AT)
    with pytest.raises(SigningError, match="refuses: wrong_audience"):
        seal(issuer().plan(), signer=bench.open(), topic=topic(TopicName.PLAN, area="xa-khac"))
    signed, refused = [json.loads(line) for line in bench.record.splitlines()[-2:]]
    assert (signed["verdict"], signed["kind"], signed["topic"], signed["key"]) == ("signed", "plan", PLAN_AT, KEY)
    assert (signed["pid"], signed["uid"]) == (os.getpid(), os.getuid())
    assert (refused["verdict"], refused["reason"].split(":")[0]) == ("refused", "wrong_audience")
    assert len(signed["sha256"]) == 64


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0",
        HEAD.pack(REQUEST_BYTES_MAX + 1),
        HEAD.pack(0),
        HEAD.pack(3) + b"\x05ab",
        HEAD.pack(50) + b"short",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_nonsense_costs_its_connection_and_nothing_else(bench: ProcessBench, frame: bytes) -> None:
    assert ask(bench, frame) == b""
    assert seal(issuer().plan(), signer=bench.open(), topic=PLAN_AT)


def test_many_connections_are_not_answered_and_come_to_nothing(bench: ProcessBench) -> None:
    held = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(CONNECTIONS_MAX + 4)]
    for each in held:
        each.connect(str(bench.socket))
        each.settimeout(5)
    assert sum(each.recv(1) == b"" for each in held[CONNECTIONS_MAX:]) == 4
    for each in held:
        each.close()
    assert seal(issuer().plan(), signer=bench.open(), topic=PLAN_AT)


async def test_another_user_is_not_answered(bench: ProcessBench, tmp_path: Path) -> None:
    config = read_signer_config(bench.config)
    record = SigningLog(tmp_path, bytes_max=10**6, files_max=2)
    server = SignerServer(SignerService(config, record=record), users=frozenset({os.getuid() + 1}))
    listening = await server.listen(tmp_path / "s.sock")
    assert (tmp_path / "s.sock").stat().st_mode & 0o777 == 0o660
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s.sock"))
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    listening.close()
    await server.close()
    record.close()


def test_emergencies_have_the_configured_rate(tmp_path: Path) -> None:
    bench = ProcessBench(tmp_path, emergencies_per_hour=2)
    try:
        for name in ("one", "two", "two"):
            seal(emergency(name), signer=bench.open(), topic=EMERGENCY_AT)
        with pytest.raises(SigningError, match="emergencies_per_hour"):
            seal(emergency("three"), signer=bench.open(), topic=EMERGENCY_AT)
    finally:
        bench.process.kill()
        bench.process.wait(20)


def test_a_signer_that_hangs_costs_a_bounded_wait_once_and_rests(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dumb:
        dumb.bind(str(tmp_path / "s"))
        dumb.listen()
        client = SignerClient(str(tmp_path / "s"), answer_s_max=0.2, rest_s=60)
        begun = time.monotonic()
        with pytest.raises(SigningError, match="no answer within"):
            client.sign(KEY, b"x")
        for _ in range(50):
            with pytest.raises(SigningError, match="a moment ago"):
                client.sign(KEY, b"x")
        assert time.monotonic() - begun < 5


def test_on_a_full_disk_only_a_real_emergency_is_signed_still(bench: ProcessBench, tmp_path: Path) -> None:
    record = SigningLog(tmp_path, bytes_max=10**6, files_max=2)
    record.close()  # every further write fails
    service = SignerService(read_signer_config(bench.config), record=record)
    for document, at, is_signed in ((issuer().plan(), PLAN_AT, False), (emergency("now"), EMERGENCY_AT, True)):
        request = SigningRequest(key_id=KEY, data=asked(document, at))
        assert bool(service.answer(request, pid=1, uid=2).signature) is is_signed


def test_the_record_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    record = SigningLog(tmp_path, bytes_max=2_000, files_max=3)
    for number in range(100):
        record.write({"number": number}, signed=b"x", is_synced=False)
    record.close()
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["signed.jsonl", "signed.jsonl.1", "signed.jsonl.2"]
    assert all(path.stat().st_size <= 2_000 for path in files)
    assert json.loads(files[0].read_text().splitlines()[-1])["number"] == 99
    (tmp_path / "file").write_text("")
    with pytest.raises(SigningLogError):
        SigningLog(tmp_path / "file", bytes_max=2_000, files_max=3)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"clients": ["nobody-of-that-name"]}, "there is no user"),
        ({"keys": []}, "keys"),
        ({"log_bytes_max": 1}, "log_bytes_max"),
        ({"spcket": "x"}, "did you mean socket"),
    ],
)
def test_a_wrong_configuration_is_named(
    bench: ProcessBench, tmp_path: Path, changes: dict[str, object], why: str
) -> None:
    plain = {**yaml.safe_load(bench.config.read_text()), **changes}
    path = bench.folder / f"{tmp_path.name}.yaml"
    path.write_text(yaml.safe_dump(plain))
    with pytest.raises(ConfigError, match=why):
        check_signer(path)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"document_types": ["keyset"]}, "keyset; types"),
        ({"path": ""}, "exactly one of path"),
        ({"signer": "x", "path": "", "passphrase_file": ""}, "cannot ask another signer"),
        ({"passphrase_credential": "x"}, "has one passphrase"),
        ({"passphrase_file": ""}, "say where its passphrase is"),
        ({"path": "none.key"}, "cannot be read"),
    ],
)
def test_a_wrong_key_is_named(bench: ProcessBench, tmp_path: Path, changes: dict[str, object], why: str) -> None:
    plain = yaml.safe_load(bench.config.read_text())
    plain["keys"][0] |= changes
    path = bench.folder / f"{tmp_path.name}.yaml"
    path.write_text(yaml.safe_dump(plain))
    with pytest.raises(ConfigError, match=why):
        check_signer(path)


def test_the_command_checks_and_explains_itself(bench: ProcessBench) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "controller.cli", "signer", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert "example" in run("--help").stdout
    good = run(str(bench.config), "--check")
    assert (good.returncode, KEY in good.stdout) == (0, True)
    assert run("/none.yaml").returncode == 2
    assert users_of(read_signer_config(bench.config)) == {os.getuid()}
