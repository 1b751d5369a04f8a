"""A node as a real process without broker and controller: it plays from its store, and survives what is done to it.

The state folder is written as a node would have left it; what sounded is read from the file behind the sound card,
what clicked from the trace of the pin.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.adapters.store import SqliteStore, read_only
from edge.effects import StoreDocument
from edge.guard import ROOT
from protocol.codec import cbor_decode
from protocol.envelope import open_sealed, seal
from protocol.messages import AiringRecord, AnyDocument, MediaReference, Report
from protocol.topics import TopicName, topic
from tests.support.issuer import COMMUNE, Issuer, occurrence
from tests.support.node_files import NodeFiles, write_node_files
from tests.support.pki import DevelopmentKeys
from tests.support.waiting import until_blocking

pytestmark = pytest.mark.alone

SECONDS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A node whose store holds a plan that begins in a few seconds."""

    files: NodeFiles
    starts_at_ms: int


@pytest.fixture
def prepared(tmp_path: Path, pki: DevelopmentKeys) -> Prepared:
    files = write_node_files(tmp_path / "node", pki.folder)
    clip = write_clip(files.folder / "state" / "media")
    now_ms = time.time_ns() // 1_000_000
    issuer = Issuer(now_ms)
    starts_at_ms = now_ms + 3_000
    plan = issuer.plan(occurrence("a", starts_at_ms, clip))
    store = SqliteStore(files.folder / "state", post=lambda _: None)
    store.load()
    keyset_topic = topic(TopicName.KEYSET)
    keep(store, keyset_topic, pki.keyset_bytes, ROOT, pki.keyset.counter)
    for name, document in (
        (topic(TopicName.ASSIGNMENT, node="N001"), issuer.assignment(quiet_hours=None)),
        (topic(TopicName.PLAN, area=COMMUNE), plan),
    ):
        keep(store, name, sealed(document, name, pki), "operations-1", document.counter)
    store.close()
    return Prepared(files=files, starts_at_ms=starts_at_ms)


def sealed(document: AnyDocument, name: str, pki: DevelopmentKeys) -> bytes:
    return seal(document, signer=pki.signer("operations-1"), topic=name)


def keep(store: SqliteStore, name: str, payload: bytes, key_id: str, counter: int) -> None:
    sha256 = hashlib.sha256(payload).digest()
    store.ask(StoreDocument(topic=name, payload=payload, key_id=key_id, counter=counter, sha256=sha256))


def write_clip(folder: Path) -> MediaReference:
    folder.mkdir(parents=True)
    path = folder / "clip"
    wave = 0.3 * np.sin(2 * np.pi * 440 / 48_000 * np.arange(SECONDS * 48_000))
    soundfile.write(path, wave, 48_000, format="OGG", subtype="OPUS")
    data = path.read_bytes()
    path.rename(folder / hashlib.sha256(data).hexdigest())
    return MediaReference(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), duration_ms=SECONDS * 1000)


@contextmanager
def running(files: NodeFiles, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    log = (files.folder / "log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", "run", str(files.config)],
        stderr=log,
        env={**os.environ, **files.environment, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(5)
        log.close()


def levels(files: NodeFiles) -> list[int]:
    if not files.trace.exists():
        return []
    return [json.loads(line)["level"] for line in files.trace.read_text().splitlines()]


def is_sounding(files: NodeFiles) -> bool:
    if not files.sound.exists():
        return False
    samples = np.frombuffer(files.sound.read_bytes()[: -(files.sound.stat().st_size % 2) or None], np.int16)
    return bool(np.abs(samples[-9_600:].astype(np.int32)).max(initial=0) > 1_000)


def log_of(files: NodeFiles) -> str:
    return (files.folder / "log").read_text()


def airings(files: NodeFiles) -> list[AiringRecord]:
    name = topic(TopicName.REPORT, node="N001")
    found = []
    for report in read_only(files.folder / "state").reports:
        parsed: Report = cbor_decode(open_sealed(report.payload, topic=name).payload, Report)
        if isinstance(parsed.record, AiringRecord):
            found.append(parsed.record)
    return found


def test_plays_its_plan_alone_and_goes_on_after_kill_9(prepared: Prepared) -> None:
    files = prepared.files
    with running(files) as process:
        until_blocking(lambda: is_sounding(files), seconds=10, what="sound")
        until_blocking(lambda: read_only(files.folder / "state").open_airing, what="the record of it")
        assert levels(files) == [0, 1]
        process.send_signal(signal.SIGKILL)
        process.wait(5)
    silenced = subprocess.run([sys.executable, "-m", "edge.cli", "silence", str(files.config)], check=True, timeout=10)
    assert silenced.returncode == 0
    assert levels(files)[-1] == 0
    files.sound.unlink()
    with running(files) as process:
        until_blocking(lambda: is_sounding(files), seconds=8, what="sound after the kill")
        until_blocking(lambda: log_of(files).count("airing started") == 2, what="the record of it")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert levels(files)[-1] == 0
    records = airings(files)
    assert [record.state.value for record in records] == ["started", "finished", "started", "finished"]
    assert [record.reason for record in records[1::2]] == ["power_cut", "shut_down"]
    assert "Traceback" not in log_of(files)


def test_show_tells_what_is_stored_while_it_runs(prepared: Prepared) -> None:
    files = prepared.files
    with running(files) as process:
        until_blocking(lambda: levels(files) != [], seconds=10, what="start")
        told = subprocess.run(
            [sys.executable, "-m", "edge.cli", "show", str(files.config)],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    for words in (
        "areas thon-dong < xa-binh-minh",
        "quiet hours: none",
        "keys: keyset",
        "Bản tin a",
        "here",
        "this machine's clock",
    ):
        assert words in told


def test_tells_systemd_that_it_is_ready_alive_and_stopping(prepared: Prepared, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(10)
        with running(prepared.files, NOTIFY_SOCKET=address, WATCHDOG_USEC="900000") as process:
            assert systemd.recv(100) == b"READY=1"
            assert [systemd.recv(100) for _ in range(2)] == [b"WATCHDOG=1", b"WATCHDOG=1"]
            process.send_signal(signal.SIGTERM)
            while (said := systemd.recv(100)) == b"WATCHDOG=1":
                pass
            assert said == b"STOPPING=1"
            assert process.wait(10) == 0


def test_a_damaged_store_and_no_broker_is_a_quiet_node_that_says_so(prepared: Prepared) -> None:
    files = prepared.files
    (files.folder / "state" / "node.sqlite").write_bytes(b"rubbish" * 1000)
    with running(files) as process:
        until_blocking(lambda: "disconnected" in log_of(files), seconds=10, what="a first attempt")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert "fault=store_damaged" in log_of(files)
    assert set(levels(files)) == {0}
    assert "Traceback" not in log_of(files)
